"""What is measured of a method over several texts, beside its speed.

All of it comes from rows of one method; None, or nothing, is of older results that lack it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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


def inter_token_latencies(rows: Sequence[Row]) -> list[float]:
    """ITL: seconds between each token and the one before it; 0 for those that came together.

    The first token waits for the prompt: that is the TTFT, and is not among them.
    """
    return [b - a for row in rows for a, b in pairwise(row.token_s)]


def round_seconds(rows: Sequence[Row]) -> list[float]:
    """Seconds of each verification round, all its exchanges together."""
    return [seconds for row in rows if row.verification_rounds for seconds in row.round_s]


def time_per_output_token(rows: Sequence[Row]) -> float | None:
    """TPOT: seconds per token behind the first; None where no generation has a second."""
    behind = sum(row.tokens - 1 for row in rows)
    return sum(row.seconds - row.ttft_s for row in rows) / behind if behind else None


def resampling_rate(rows: Sequence[Row]) -> float | None:
    """The share of verifications in which a draft was rejected and its position resampled."""
    verifications = sum(row.verification_rounds for row in rows)
    rejections = _rejections(rows)
    return None if rejections is None or not verifications else rejections / verifications


def mean_acceptance_length(rows: Sequence[Row]) -> float | None:
    """Tokens per verification of drafts, the verifier's own included; None without drafts.

    That is vLLM's mean acceptance length. A verification counts once, however many exchanges it
    takes.
    """
    verifications = sum(row.verification_rounds for row in rows)
    drafted = any(row.counts.drafted for row in rows)
    return sum(row.tokens for row in rows) / verifications if verifications and drafted else None


def drafts_per_round(rows: Sequence[Row]) -> float | None:
    """Drafted tokens per verification; None without."""
    verifications = sum(row.verification_rounds for row in rows)
    return sum(row.counts.drafted for row in rows) / verifications if verifications else None


def passes_per_draft(rows: Sequence[Row]) -> float | None:
    """Passes of the draft model per drafted token; None without drafts.

    Above 1 some came to nothing; below 1 several candidates were drawn from one.
    """
    passes = draft_passes(rows)
    drafted = sum(row.counts.drafted for row in rows)
    return None if passes is None or not drafted else passes / drafted


def draft_passes(rows: Sequence[Row]) -> int | None:
    """Passes of the draft model; None where one row's are not known."""
    return _sum_known(row.counts.draft_passes for row in rows)


def acceptance(rows: Sequence[Row]) -> float | None:
    """The share of verified positions at which a draft was accepted; None where there are none.

    Of chains and trees alike: the candidates for a position are verified together.
    """
    rejections = _rejections(rows)
    if rejections is None:
        return None
    accepted = sum(row.counts.accepted for row in rows)
    verified = accepted + rejections
    return accepted / verified if verified else None


def _rejections(rows: Sequence[Row]) -> int | None:
    return _sum_known(row.counts.rejections for row in rows)


def _sum_known(counts: Iterable[int | None]) -> int | None:
    """Their sum; None where one is None."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


class PositionCounts(NamedTuple):
    """How drafts at one position of a round fared."""

    verified: int
    accepted: int


def acceptance_per_position(rows: Sequence[Row]) -> list[PositionCounts]:
    """Verified and accepted drafts at the first, second, … position of a round."""
    verified, accepted = (
        [sum(counts) for counts in zip_longest(*lists, fillvalue=0)]
        for lists in (
            [row.counts.verified_per_position for row in rows],
            [row.counts.accepted_per_position for row in rows],
        )
    )
    return [PositionCounts(*both) for both in zip(verified, accepted, strict=False) if both[0]]


def _sum_of(size: Callable[[Row], float]) -> Callable[[Sequence[Row]], float]:
    return lambda rows: sum(map(size, rows))


TRAFFIC: dict[str, dict[str, Callable[[Sequence[Row]], float]]] = {
    "uplink": {
        "payload": _sum_of(lambda row: row.traffic.up_payload_bits / 8),
        "messages": _sum_of(lambda row: row.traffic.up_bytes),
        "frames": _sum_of(lambda row: row.uplink_wire_bytes),
    },
    "downlink": {
        "payload": _sum_of(lambda row: row.downlink_payload_bits / 8),
        "messages": _sum_of(lambda row: row.downlink_message_bytes),
        "frames": _sum_of(lambda row: row.downlink_wire_bytes),
    },
}
"""Bytes by direction and layer: what the codec wrote, what ZeroMQ was given, whole frames."""


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


def slowdown_vs_bound(rows: Sequence[Row]) -> float | None:
    """Seconds taken, as a multiple of the bound that links and compute set; None where unknown."""
    seconds = phase_seconds(rows)
    if seconds is None:
        return None
    bound = sum(seconds[phase] for phase in BOUND)
    return sum(seconds.values()) / bound if bound else None
