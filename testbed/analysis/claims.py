"""Claims: the comparisons of a table that may be called a difference.

They are corrected for their number: at most 5 % of tables have a false claim among them.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.analysis.intervals import LEVEL, Interval, speed_ratio
from testbed.results.rows import Row

THIS_RUN = "this run only"
"""The text in place of a claim where there is a single repetition."""
NEITHER = "neither"
"""The text where either method may be the faster one."""


def claimed(ps: Sequence[float | None]) -> list[bool]:
    """Return True for each p that may be claimed; at most 1 - LEVEL of tables have a false claim.

    Holm, Scandinavian Journal of Statistics 6, 1979: the smallest p is multiplied by their number,
    the next by one fewer, and so on, until a product exceeds 1 - LEVEL. None is not claimed and is
    left out of the number.
    """
    ranked = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    found = [False] * len(ps)
    for rank, (p, index) in enumerate(ranked):
        if p * (len(ranked) - rank) > 1 - LEVEL:
            break
        found[index] = True
    return found


def p_of_fastest(rows: Sequence[Row], others: Sequence[Sequence[Row]]) -> float | None:
    """Return the p of one method being faster than each of the others.

    It is the largest p of all comparisons, because the method must beat even the truly fastest of
    the others. None where a comparison allows no claim, as from a single repetition.
    """
    ps = []
    for each in others:
        ratio = speed_ratio(rows, each)
        if ratio is None or ratio.p is None:
            return None
        ps.append(ratio.p if ratio.estimate > 1 else 1.0)
    return max(ps, default=None)


def claims(ratios: Sequence[Interval | None]) -> list[str]:
    """Return each ratio's claim: faster, slower, NEITHER, THIS_RUN; empty without interval."""
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
