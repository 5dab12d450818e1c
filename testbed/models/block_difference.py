"""Distance of the distributions after a block of tokens from those after single tokens.

Speculative decoding verifies a block in one pass. Its output has the law of the target decoding by
itself only as far as both agree: kernels for blocks and for single tokens sum in different orders,
and some round inputs in another way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.decoding.sampling import Sampling, distribution
from testbed.decoding.theory import total_variation
from testbed.errors import TestbedError
from testbed.models.base import Model, ModelSession

_BLOCK = 5
_BEHIND = 32, 320
"""Lengths of the texts that the block is read behind: some kernels depend on it."""


def block_difference(model: Model) -> float:
    """Return the largest TV, at temperature 1, between block and single tokens in a text.

    Its tokens are spread over the vocabulary. Raises TestbedError when the model's cache cannot be
    rolled back: when logits of the block differ before and after a rollback.
    """
    room = model.context_length - _BLOCK
    lengths = [length for length in _BEHIND if length <= room] or [max(1, room)]
    count = lengths[-1] + _BLOCK
    tokens = [each * model.vocabulary_size // (count + 1) for each in range(1, count + 1)]
    session = model.session()
    differences = []
    for length in lengths:
        session.extend(tokens[session.length : length], keep=1)
        differences.append(_difference(session, tokens[length : length + _BLOCK], model.name))
    return max(differences)


def _difference(session: ModelSession, block: Sequence[int], name: str) -> float:
    """Return the largest TV in a block behind what the session has read, which it keeps."""
    length = session.length
    rows = session.extend(block)
    session.rollback(length)
    if not np.isfinite(rows.max(axis=1)).all():  # -inf is the logit of an id that never comes
        raise TestbedError(f"model '{name}' computes NaN or infinity")
    if not np.array_equal(rows, session.extend(block)):
        raise TestbedError(
            f"the cache of model '{name}' cannot be rolled back: a block that is read again has "
            "other logits; allowed are models that attend to the keys of single tokens"
        )
    session.rollback(length)
    steps = [session.extend([token])[0] for token in block]
    session.rollback(length)
    plain = Sampling(temperature=1.0)
    return max(
        total_variation(distribution(one, plain), distribution(other, plain))
        for one, other in zip(rows, steps, strict=True)
    )
