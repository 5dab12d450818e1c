"""A draft that proposes the commonest tokens only. Importing this loads torch.

A byte-pair vocabulary is in the order of its merges, which is that of frequency in what it was made
from: the first third of its ids is nearly all of a text. A small draft's head is as large as all
its layers together, so that it gains more by a shorter one than it loses by tokens that it never
proposes. Speculative decoding is lossless whatever the draft leaves out.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from testbed.errors import TestbedError
from testbed.models.packed_draft import PROPOSED


def trim_head(network: Any, name: str) -> None:
    """Shorten the head of `network`, in place, as its configuration says; else leave it alone.

    It shares its weights with the old one, so that an embedding which is the head too stays whole.
    Raises TestbedError unless the head is that long.
    """
    size = getattr(network.config, PROPOSED, None)
    if size is None:
        return
    head = network.get_output_embeddings()
    if type(size) is not int or not 1 <= size <= head.out_features:
        raise TestbedError(
            f"The configuration of model '{name}' has {PROPOSED} {size!r}; allowed are 1 to "
            f"{head.out_features}, its head's length."
        )
    trimmed = nn.Linear(head.in_features, size, bias=head.bias is not None, device="meta")
    for part in ("weight", "bias"):
        if getattr(head, part) is not None:
            values = getattr(head, part).detach()[:size]
            setattr(trimmed, part, nn.Parameter(values, requires_grad=False))
    network.set_output_embeddings(trimmed)
