"""Distributions for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


@st.composite
def distributions(draw, largest: int = 400):
    """Peaked and flat ones, with and without zeros, and ties."""
    v = draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from(["peaked", "flat", "few", "one", "equal"]))
    q = rng.gamma({"peaked": 0.05, "flat": 5.0}.get(shape, 1.0), size=v) + 1e-300
    if shape == "few":
        q[rng.random(v) < 0.8] = 0
        q[rng.integers(v)] = 1
    elif shape == "one":
        q = np.eye(v)[rng.integers(v)]
    elif shape == "equal":
        q = np.ones(v)
    return q / q.sum()


@st.composite
def over_magnitudes(draw, size: int | None = None, least: float = -25, zeros: bool = True):
    """Weights from 10^least to 1, some of them 0 where zeros are allowed; up to 60 of them."""
    size = size or draw(st.integers(1, 60))
    exponents = st.floats(least, 0) | st.none() if zeros else st.floats(least, 0)
    drawn = draw(st.lists(exponents, min_size=size, max_size=size))
    weights = np.array([0.0 if e is None else 10**e for e in drawn])
    if not weights.any():
        weights[draw(st.integers(0, size - 1))] = 1
    return weights / weights.sum()


@st.composite
def exact_with_ties(draw):
    """Multiples of 1/64, so that sums are exact and ties frequent."""
    counts = draw(st.lists(st.integers(0, 6), min_size=1, max_size=40).filter(any))
    q = np.array(counts, np.float64)
    q[0] += 64 - q.sum() if q.sum() < 64 else 0
    return q / 2 ** np.ceil(np.log2(q.sum()))
