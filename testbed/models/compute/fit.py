"""Least-absolute-deviations fit of a pace to measured passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from testbed.models.compute.pace import Pace

Pass = tuple[int, float]
"""Tokens and duration in seconds."""


def fit_line(passes: Sequence[Pass]) -> Pace:
    """Return the pace with the least sum of |paced / took - 1| over all passes.

    Neither part of it is negative. Absolute deviations, because a single outlier then does not bend
    the line; relative ones, because long passes would otherwise outweigh short ones. Needs passes
    of at least two lengths.
    """
    return min(
        _lines(passes), key=lambda pace: sum(abs(relative_error(pace, each)) for each in passes)
    )


def relative_error(pace: Pace, one: Pass) -> float:
    """Return (paced − measured) / measured for one pass; positive if the pace is too slow."""
    tokens, took = one
    return pace.seconds(tokens) / took - 1


def _lines(passes: Sequence[Pass]) -> Iterator[Pace]:
    """Yield candidates that contain the best line.

    It goes through two passes, or through one pass with one of its parts zero.
    """
    for tokens, took in passes:
        yield Pace(per_pass=took, per_token=0.0)
        yield Pace(per_pass=0.0, per_token=took / tokens)
    for (n, took_n), (m, took_m) in combinations(sorted(passes), 2):
        if n < m:
            per_token = (took_m - took_n) / (m - n)
            per_pass = took_n - n * per_token
            if per_token >= 0 and per_pass >= 0:
                yield Pace(per_pass=per_pass, per_token=per_token)
