"""Which of several comparisons may be called a difference, so that a whole table rarely errs."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.analysis.intervals import LEVEL, Interval, speed_ratio
from testbed.results.rows import Row

THIS_RUN = "this run only"
"""In the place of a claim from a single repetition."""
NEITHER = "neither"
"""Where either may be the faster one."""


def claimed(ps: Sequence[float | None]) -> list[bool]:
    """Say of each p whether it may be claimed; at most 1 - LEVEL of tables then err in any.

    Holm, Scandinavian Journal of Statistics 6, 1979: the smallest p times their number, the next
    times one fewer, and so on, until one is too large. None is not claimed, and does not count.
    """
    ranked = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    found = [False] * len(ps)
    for rank, (p, place) in enumerate(ranked):
        if p * (len(ranked) - rank) > 1 - LEVEL:
            break
        found[place] = True
    return found


def p_of_fastest(rows: Sequence[Row], others: Sequence[Sequence[Row]]) -> float | None:
    """The p of one method being faster than each of the others; None where nothing may be claimed.

    That is the largest of all comparisons: whichever of the others is truly the fastest, it would
    have to lose by chance.
    """
    ps = []
    for each in others:
        ratio = speed_ratio(rows, each)
        if ratio is None or ratio.p is None:
            return None
        ps.append(ratio.p if ratio.estimate > 1 else 1.0)
    return max(ps, default=None)


def claims(ratios: Sequence[Interval | None]) -> list[str]:
    """The words that a table may say of each ratio; empty where there is no interval."""
    sure = claimed([ratio.p if ratio else None for ratio in ratios])
    return [_claim(ratio, sure=each) for ratio, each in zip(ratios, sure, strict=True)]


def _claim(ratio: Interval | None, *, sure: bool) -> str:
    if ratio is None or ratio.low is None:
        return ""
    if ratio.this_run_only:
        return THIS_RUN
    if not sure:
        return NEITHER
    return "faster" if ratio.estimate > 1 else "slower"
