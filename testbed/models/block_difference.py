"""Distance of the distributions after a block of tokens from those after single tokens.

Speculative decoding verifies a block in one pass. Its output has the law of the target decoding by
itself only as far as both agree: kernels for blocks and for single tokens sum in different orders,
and some round inputs in another way.
"""

from __future__ import annotations

import numpy as np

from testbed.decoding.sampling import Sampling, distribution
from testbed.decoding.theory import total_variation
from testbed.errors import TestbedError
from testbed.models.base import Model

_TEXT, _BLOCK = 32, 5
"""Tokens that are read first, and in the block."""


def block_difference(model: Model) -> float:
    """Return the largest TV, at temperature 1, between block and single tokens in a short text.

    Its tokens are spread over the vocabulary. Raises TestbedError when the model's cache cannot be
    rolled back: when logits of the block differ before and after a rollback.
    """
    count = min(_TEXT + _BLOCK, model.context_length - 1)
    tokens = [each * model.vocabulary_size // (count + 1) for each in range(1, count + 1)]
    text, block = tokens[:-_BLOCK], tokens[-_BLOCK:]
    session = model.session()
    session.extend(text, keep=1)
    blocks = []
    for _ in range(2):
        blocks.append(session.extend(block))
        session.rollback(len(text))
    if not np.isfinite(blocks[0]).any(axis=1).all() or np.isnan(blocks[0]).any():
        raise TestbedError(f"model '{model.name}' computes NaN or infinity")
    if not np.array_equal(blocks[0], blocks[1]):
        raise TestbedError(
            f"the cache of model '{model.name}' cannot be rolled back: a block that is read again "
            "has other logits; allowed are models that attend to the keys of single tokens"
        )
    steps = [session.extend([token])[0] for token in block]
    plain = Sampling(temperature=1.0)
    return max(
        total_variation(distribution(one, plain), distribution(other, plain))
        for one, other in zip(blocks[0], steps, strict=True)
    )
