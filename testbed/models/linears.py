"""Putting something quicker in the place of linear layers. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def replace_linears(network: nn.Module, by: Callable[[nn.Linear], nn.Module | None]) -> None:
    """Replace the linear layers of `network`, the head included, in place; None leaves one alone.

    Subclasses stay as they are: they may compute something else. So do embeddings, even where the
    head is the same matrix.
    """
    for name, child in network.named_children():
        if type(child) is nn.Linear:
            if (other := by(child)) is not None:
                setattr(network, name, other)
        else:
            replace_linears(child, by)
