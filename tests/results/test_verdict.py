"""Verdicts: a level can only be lowered."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from testbed.results.verdict import Verdict, worst

LEVELS = ["valid", "suspect", "invalid"]


@pytest.mark.parametrize("levels", [list(p) for n in (1, 2, 3) for p in product(LEVELS, repeat=n)])
def test_the_worst_level_wins_whatever_the_order(levels):
    wanted = next(level for level in reversed(LEVELS) if level in levels)
    assert worst(levels) == wanted
    assert worst(iter(levels)) == wanted


def test_nothing_said_is_valid():
    assert worst([]) == "valid"
    assert Verdict() == Verdict("valid", [])


@pytest.mark.parametrize("order", list(permutations(LEVELS)))
def test_adding_lowers_the_level_and_keeps_every_reason(order):
    verdict = Verdict()
    for i, level in enumerate(order):
        verdict.add(level, f"because {level}")
        assert verdict.level == worst(order[: i + 1])
    assert verdict.reasons == [f"because {level}" for level in order]


def test_verdicts_do_not_share_their_reasons():
    Verdict().add("invalid", "mine")
    assert Verdict().reasons == []
