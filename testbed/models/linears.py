"""Putting something quicker in the place of linear layers. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import nn

Replace: TypeAlias = Callable[[nn.Linear], nn.Module]
"""Makes of a linear layer what is to stand in its place, or gives it back."""


def replace_linears(network: nn.Module, by: Replace) -> None:
    """Replace the linear layers of `network`, the head included, in place.

    Subclasses stay as they are: they may compute something else. So do embeddings, even where the
    head is the same matrix.
    """
    for name, child in network.named_children():
        if type(child) is nn.Linear:
            setattr(network, name, by(child))
        else:
            replace_linears(child, by)
