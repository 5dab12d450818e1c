"""Errors of a mean over repetitions and prompts, compared with analyses of variance by hand."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.analysis.crossed_variance import Part, half_width, mean_of, p_value, parts_of

VALUES = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 5.0]])
"""Mean squares 1.5 of repetitions (1), 6.5 of prompts (2), 1.5 of the rest (2)."""


def parts(values, counts=None) -> list[tuple[float, float]]:
    counts = np.ones(np.shape(values)) if counts is None else counts
    return [(float(variance), round(freedom, 9)) for variance, freedom in parts_of(values, counts)]


def freedom_of(shares) -> float:
    """Return the degrees of freedom of Σ (s_i (y_i - Σ s y))², by its eigenvalues.

    They are twice the squared mean over the variance.
    """
    form = np.diag(shares) @ (np.eye(len(shares)) - np.outer(np.ones(len(shares)), shares))
    eigenvalues = np.linalg.svd(form, compute_uv=False) ** 2
    return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


def test_a_balanced_design_has_the_mean_squares_of_its_analysis_of_variance():
    assert parts(VALUES) == [(pytest.approx(1.5 / 6), 1), (pytest.approx((6.5 - 1.5) / 6), 2)]
    # The rest is in what is known worse, whichever of both that is.
    assert parts(VALUES.T) == parts(VALUES)


def test_each_part_is_multiplied_by_its_own_students_t():
    known = [Part(np.float64(0.25), 1), Part(np.float64(5 / 6), 2)]
    wanted = np.sqrt(0.25 * 12.70620**2 + 5 / 6 * 4.302653**2)
    assert half_width(known, 0.95) == pytest.approx(wanted)
    assert half_width(known[:1], 0.95) == pytest.approx(0.5 * 12.70620)


@pytest.mark.parametrize("values", [VALUES[:, :1], VALUES[:1]])
def test_one_factor_has_the_error_of_a_mean(values):
    flat = values.ravel()
    assert parts(values) == [(pytest.approx(flat.var(ddof=1) / flat.size), flat.size - 1)]


def test_one_repetition_of_one_prompt_tells_nothing_of_others():
    assert parts(VALUES[:1, :1], np.array([[16.0]])) == []


def test_a_rest_that_is_larger_than_a_factor_takes_no_more_than_that():
    alike = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]])  # a prompt's means are .5, 1, .5
    assert parts(alike)[1] == (0.0, 2)


@pytest.mark.parametrize(
    "there",
    [
        [[1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 1, 1]],
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]],  # two sets that share nothing
        [[2, 1, 5, 1], [1, 3, 0, 1], [1, 1, 1, 1]],  # as devices fail
    ],
)
def test_the_rest_of_a_design_with_gaps_is_that_of_least_squares(there):
    counts = np.array(there, dtype=float)
    values = (np.random.default_rng(1).normal(size=(3, 4)) + 3 * np.arange(4)) * (counts > 0)
    rows, columns = np.nonzero(counts)
    design = np.hstack([np.eye(3)[rows], np.eye(4)[columns]])
    seen = values[rows, columns]
    effects, _, rank, _ = np.linalg.lstsq(design, seen, rcond=None)
    rest = ((seen - design @ effects) ** 2).sum() / (len(seen) - rank)
    shares = counts / counts.sum()
    by_prompt = (shares * (values - mean_of(values, counts))).sum(axis=0)
    weights = shares.sum(axis=0)
    squares = (weights**2).sum()
    unbiased = squares / (weights**2 * (1 - 2 * weights + squares)).sum()
    wanted = (by_prompt**2).sum() * unbiased - rest * (shares**2).sum()
    (_, fewer), over_prompts = parts(values, counts)
    assert over_prompts == (pytest.approx(wanted), pytest.approx(freedom_of(weights)))
    assert fewer == pytest.approx(freedom_of(shares.sum(axis=1)))


def test_what_repetition_and_prompt_explain_leaves_no_rest():
    gaps = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    values = (np.array([[0.0], [5.0]]) + np.array([1.0, 2.0, 4.0])) * gaps
    none, crossed = parts(values, gaps), parts(values * 0, gaps)
    assert none[1][0] > 0
    assert crossed == [(0.0, 1), (0.0, pytest.approx(freedom_of([0.4, 0.4, 0.2])))]


def test_p_is_where_the_interval_of_that_level_ends():
    crossed = parts_of(VALUES, np.ones((2, 3)))
    for distance in (0.5, 7.4693, 100.0):
        p = p_value(distance, crossed)
        assert half_width(crossed, 1 - p) == pytest.approx(distance, rel=1e-6)
    assert p_value(7.4693, crossed) == pytest.approx(0.05, abs=1e-4)
    assert p_value(-2.228139, [Part(np.float64(1), 10)]) == pytest.approx(0.05)
    assert p_value(0.0, crossed) == 1
    still = parts_of(np.ones((2, 2)), np.ones((2, 2)))
    assert (p_value(1.0, still), p_value(0.0, still)) == (pytest.approx(0), 1)


@pytest.mark.parametrize(
    ("repeats", "prompts", "spreads"),
    [(2, 1, (0.3, 0, 0.3)), (2, 60, (0.3, 0.3, 0.03)), (5, 2, (0.03, 0.3, 0.3)),
     (3, 5, (0.1, 0.1, 0.1)), (10, 20, (0.03, 0.03, 0.3)), (5, 5, (0.03, 0.3, 0.3))],
)  # fmt: skip
def test_intervals_hold_the_true_value_as_often_as_they_say(repeats, prompts, spreads):
    random, sims = np.random.default_rng(1), 2000
    shapes = (repeats, 1), (1, prompts), (repeats, prompts)
    values = sum(
        random.normal(0, spread, (sims, *shape))
        for spread, shape in zip(spreads, shapes, strict=True)
    )
    counts = np.ones((repeats, prompts))
    inside = abs(mean_of(values, counts)) <= half_width(parts_of(values, counts), 0.95)
    assert 0.935 < inside.mean() < 0.995


@pytest.mark.parametrize("generations", [(30, 30, 2), (15, 15, 15, 1), (8, 8, 8, 8, 1, 1)])
@pytest.mark.parametrize("spreads", [(0.3, 0, 0.03), (0.3, 0.3, 0.1), (0.03, 0.03, 0.3)])
def test_a_repetition_that_is_cut_short_does_not_count_as_a_whole_one(generations, spreads):
    random, sims = np.random.default_rng(1), 4000
    prompts = max(generations)
    counts = np.array([[place < count for place in range(prompts)] for count in generations], float)
    shapes = (len(generations), 1), (1, prompts), counts.shape
    values = sum(
        random.normal(0, spread, (sims, *shape))
        for spread, shape in zip(spreads, shapes, strict=True)
    )
    values *= counts
    inside = abs(mean_of(values, counts)) <= half_width(parts_of(values, counts), 0.95)
    assert inside.mean() > 0.94
