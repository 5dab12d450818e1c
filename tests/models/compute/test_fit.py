"""The fit of a pace to measured passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.models.compute.fit import fit_line, relative_error
from testbed.models.compute.pace import Pace

LENGTHS = (1, 2, 4, 8, 16, 32)


def on(pace: Pace, lengths=LENGTHS):
    return [(n, pace.seconds(n)) for n in lengths]


@pytest.mark.parametrize("pace", [Pace(20e-3, 1e-3), Pace(0.0, 2e-3), Pace(5e-3, 0.0)])
def test_a_line_is_found_again(pace):
    found = fit_line(on(pace))
    assert found.per_pass == pytest.approx(pace.per_pass, abs=1e-12)
    assert found.per_token == pytest.approx(pace.per_token, abs=1e-12)


def test_one_pass_that_is_far_off_does_not_bend_it():
    pace = Pace(20e-3, 1e-3)
    passes = on(pace)
    passes[3] = (8, 10 * pace.seconds(8))
    assert fit_line(passes).per_token == pytest.approx(1e-3)
    assert relative_error(fit_line(passes), passes[3]) == pytest.approx(-0.9)


def test_neither_part_is_negative():
    shrinking = [(1, 9e-3), (8, 8e-3), (32, 8e-3)]
    assert fit_line(shrinking) == Pace(8e-3, 0.0)
    superlinear = [(1, 1e-3), (10, 20e-3), (100, 300e-3)]
    assert fit_line(superlinear).per_pass == 0.0


@given(
    st.lists(st.floats(1e-3, 1.0), min_size=3, max_size=6),
    st.floats(0, 0.5),
    st.floats(0, 0.1),
)
def test_no_other_line_is_closer(times, per_pass, per_token):
    passes = list(zip(LENGTHS, times, strict=False))

    def distance(pace: Pace) -> float:
        return sum(abs(relative_error(pace, each)) for each in passes)

    assert distance(fit_line(passes)) <= distance(Pace(per_pass, per_token)) + 1e-9
