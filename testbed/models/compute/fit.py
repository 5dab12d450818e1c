"""A line through what passes took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from testbed.models.compute.pace import Pace

Pass = tuple[int, float]
"""Its tokens and the seconds it took."""


def fit_line(passes: Sequence[Pass]) -> Pace:
    """The pace with the least sum of |paced / took - 1| over all passes; neither part is negative.

    Least absolute deviations, so one pass that is far off does not bend the line, and relative
    ones, so long passes do not outweigh short ones. Needs two lengths at least.
    """
    return min(_lines(passes), key=lambda pace: sum(abs(off(pace, each)) for each in passes))


def off(pace: Pace, one: Pass) -> float:
    """How much longer than it took a pass is by a pace, as a share of what it took."""
    tokens, took = one
    return pace.seconds(tokens) / took - 1


def _lines(passes: Sequence[Pass]) -> Iterator[Pace]:
    """Among these is the best: it meets two passes, or one and has one part only."""
    for tokens, took in passes:
        yield Pace(per_pass=took, per_token=0.0)
        yield Pace(per_pass=0.0, per_token=took / tokens)
    for (n, took_n), (m, took_m) in combinations(sorted(passes), 2):
        if n < m:
            per_token = (took_m - took_n) / (m - n)
            per_pass = took_n - n * per_token
            if per_token >= 0 and per_pass >= 0:
                yield Pace(per_pass=per_pass, per_token=per_token)
