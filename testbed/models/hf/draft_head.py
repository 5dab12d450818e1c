"""Shorter head for a draft that proposes only the commonest tokens. Importing this loads torch.

A byte-pair vocabulary is in the order of its merges, that is, of frequency in its training text:
the first third of its ids covers nearly all tokens of a text. A small draft's head is as large as
all its layers together. So a shorter head gains more time than the tokens that are never proposed
cost in acceptance. Speculative decoding stays lossless whatever the draft leaves out.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from testbed.errors import TestbedError
from testbed.models.packed_draft import PROPOSED


def trim_head(network: Any, name: str) -> None:
    """Shorten the head of `network` in place to the length in its configuration, if there is one.

    The new head shares its weights with the old one, so an embedding that is also the head keeps
    its full length. Raises TestbedError when the head is shorter than that.
    """
    size = getattr(network.config, PROPOSED, None)
    if size is None:
        return
    head = network.get_output_embeddings()
    if type(size) is not int or not 1 <= size <= head.out_features:
        raise TestbedError(
            f"the configuration of model '{name}' has {PROPOSED} {size!r}; allowed are 1 to "
            f"{head.out_features}, its head's length"
        )
    trimmed = nn.Linear(head.in_features, size, bias=head.bias is not None, device="meta")
    for part in ("weight", "bias"):
        if getattr(head, part) is not None:
            values = getattr(head, part).detach()[:size]
            setattr(trimmed, part, nn.Parameter(values, requires_grad=False))
    network.set_output_embeddings(trimmed)
