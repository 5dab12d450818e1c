"""Arithmetic on wide vectors: the same integers as by NumPy's own functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.decoding.wide import blocks, from_counts, to_counts


def counted(values: list[float], unit: float) -> np.ndarray:
    counts = np.empty(len(values), np.int64)
    to_counts(np.array(values), unit, out=counts)
    return counts


@given(st.lists(st.floats(0, 1), min_size=1), st.sampled_from([2.0**-52, 2.0**-24, 1.0, 2.0**8]))
def test_counts_are_those_of_rint_and_come_back(values, unit):
    scaled = [value * unit * 2**52 for value in values]
    counts = counted(scaled, unit)
    assert (counts == np.rint(np.array(scaled) / unit)).all()
    assert (from_counts(counts, unit) == counts * unit).all()


def test_ties_go_to_the_even_count_and_the_largest_count_is_one():
    halves = [0.0, -0.0, 0.5, 1.5, 2.5, 2.0**51 + 0.5, 2.0**52 - 1, 2.0**52, 5e-324]
    assert counted(halves, 1.0).tolist() == [0, 0, 0, 2, 2, 2**51, 2**52 - 1, 2**52, 0]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 151_936])
def test_blocks_are_all_of_a_vector_once(size):
    vector = np.arange(size)
    parts = [vector[block].tolist() for block in blocks(size)]
    assert [each for part in parts for each in part] == vector.tolist()
