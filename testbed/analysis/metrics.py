"""What is measured of a method over several texts, beside its speed.

All of it comes from rows of one method; None, or nothing, is of older results that lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

import msgspec
import numpy as np

from testbed.analysis.intervals import speed
from testbed.analysis.phases import BOUND, PHASES
from testbed.results.rows import Row

BEYOND = 2
"""A percentile is told where so many values are expected beyond it, on its nearer side.

That is of 4 values p50, of 40 p95, of 200 p99. With fewer it would lie between the last values.
"""


class Percentiles(NamedTuple):
    """Of some seconds; None where there are too few."""

    p50: float | None
    p95: float | None
    p99: float | None


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return those of which there are enough values, see BEYOND."""
    return Percentiles(*(_percentile(seconds, percent) for percent in (50, 95, 99)))


def _percentile(seconds: Sequence[float], percent: int) -> float | None:
    if len(seconds) * min(percent, 100 - percent) < 100 * BEYOND:
        return None
    return float(np.percentile(seconds, percent))


def token_waits(rows: Sequence[Row]) -> list[float]:
    """Seconds between each token and the one before it; 0 for those that came together.

    The first token of a text waits for the prompt, and is not among them.
    """
    return [b - a for row in rows for a, b in pairwise(row.token_s)]


def round_seconds(rows: Sequence[Row]) -> list[float]:
    """Of each round that ended in a verification of drafts, all its exchanges together."""
    return [seconds for row in rows if row.verdicts for seconds in row.round_s]


def per_output_token(rows: Sequence[Row]) -> float | None:
    """Seconds per token behind the first; None where no text has a second."""
    behind = sum(row.tokens - 1 for row in rows)
    return sum(row.seconds - row.ttft_s for row in rows) / behind if behind else None


def resampling_rate(rows: Sequence[Row]) -> float | None:
    """The share of verifications in which a draft was rejected and its place resampled."""
    judged = sum(row.verdicts for row in rows)
    rejections = [row.rejections for row in rows if row.rejections is not None]
    if not judged or len(rejections) < len(rows):
        return None
    return sum(rejections) / judged


def tokens_per_round(rows: Sequence[Row]) -> float | None:
    """Tokens per verification of drafts, however many exchanges it takes; None without drafts."""
    judged = sum(row.verdicts for row in rows)
    drafted = any(row.drafted for row in rows)
    return sum(row.tokens for row in rows) / judged if judged and drafted else None


def drafts_per_round(rows: Sequence[Row]) -> float | None:
    """Drafted tokens per verification; None without."""
    judged = sum(row.verdicts for row in rows)
    return sum(row.drafted for row in rows) / judged if judged else None


def passes_per_draft(rows: Sequence[Row]) -> float | None:
    """Passes of the draft model per drafted token; None without drafts.

    Above 1 some came to nothing; below 1 several candidates were drawn from one.
    """
    passes = draft_passes(rows)
    drafted = sum(row.drafted for row in rows)
    return None if passes is None or not drafted else passes / drafted


def draft_passes(rows: Sequence[Row]) -> int | None:
    """Passes of the draft model; None where one row's are not known."""
    known = [row.draft_passes for row in rows if row.draft_passes is not None]
    return None if len(known) < len(rows) else sum(known)


def acceptance(rows: Sequence[Row]) -> float | None:
    """The share of verified positions at which a draft was accepted; None where there are none.

    Of chains and trees alike: the candidates for a position are verified together.
    """
    rejections = [row.rejections for row in rows if row.rejections is not None]
    accepted = sum(row.accepted for row in rows)
    verified = accepted + sum(rejections)
    return accepted / verified if verified and len(rejections) == len(rows) else None


class Place(NamedTuple):
    """How drafts in one place of a round fared."""

    tested: int
    accepted: int


def acceptance_by_place(rows: Sequence[Row]) -> list[Place]:
    """Of the first, second, … place of a round."""
    tested, accepted = (
        [sum(counts) for counts in zip_longest(*lists, fillvalue=0)]
        for lists in ([row.tested_at for row in rows], [row.accepted_at for row in rows])
    )
    return [Place(*both) for both in zip(tested, accepted, strict=False) if both[0]]


def predicted_speed(rows: Sequence[Row]) -> float | None:
    """Tokens/s by the papers' model, taken together as those that were measured are.

    None where one generation has no prediction; see testbed.analysis.prediction.
    """
    predicted = [
        msgspec.structs.replace(row, seconds=row.tokens / each, tokens_per_second=each)
        for row in rows
        if (each := row.predicted_tokens_per_second)
    ]
    return speed(predicted).estimate if len(predicted) == len(rows) else None


def phase_seconds(rows: Sequence[Row]) -> dict[str, float] | None:
    """Seconds of each phase, all texts together; None where one text's are not known."""
    if not all(set(PHASES) <= row.phases.keys() for row in rows):
        return None
    return {phase: sum(row.phases[phase] for row in rows) for phase in PHASES}


def over_bound(rows: Sequence[Row]) -> float | None:
    """How many times as long it took as links and compute allow."""
    seconds = phase_seconds(rows)
    if seconds is None:
        return None
    bound = sum(seconds[phase] for phase in BOUND)
    return sum(seconds.values()) / bound if bound else None
