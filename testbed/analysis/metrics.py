"""Metrics of a method over several generations, other than its speed.

All are computed from the rows of one method. A metric is None, or empty, where older results lack
its counts.
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
"""The number of values beyond a percentile that it takes to report it.

So p50 takes 4 values, p95 40 and p99 200. With half of these, the two largest values alone would
determine it.
"""


class Percentiles(NamedTuple):
    """Percentiles in seconds; None where there are too few values."""

    p50: float | None
    p95: float | None
    p99: float | None


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return p50, p95 and p99, each None if there are too few values for it, see BEYOND."""
    return Percentiles(*(_percentile(seconds, percent) for percent in (50, 95, 99)))


def _percentile(seconds: Sequence[float], percent: int) -> float | None:
    if len(seconds) * min(percent, 100 - percent) < 100 * BEYOND:
        return None
    return float(np.percentile(seconds, percent))


def inter_token_latencies(rows: Sequence[Row]) -> list[float]:
    """Return every ITL: seconds from one token to the next; 0 if they were committed together.

    The wait for the first token is the TTFT and is not among them.
    """
    return [b - a for row in rows for a, b in pairwise(row.token_s)]


def round_seconds(rows: Sequence[Row]) -> list[float]:
    """Return the duration of each verification round, with all its exchanges, in seconds."""
    return [seconds for row in rows if row.verification_rounds for seconds in row.round_s]


def time_per_output_token(rows: Sequence[Row]) -> float | None:
    """Return TPOT: seconds per token after the first; None if no generation has two tokens."""
    behind = sum(row.tokens - 1 for row in rows)
    return sum(row.seconds - row.ttft_s for row in rows) / behind if behind else None


def resampling_rate(rows: Sequence[Row]) -> float | None:
    """Return the share of verification rounds in which a draft was rejected.

    The token at its position is then resampled from the residual.
    """
    verifications = sum(row.verification_rounds for row in rows)
    rejections = _rejections(rows)
    return None if rejections is None or not verifications else rejections / verifications


def mean_acceptance_length(rows: Sequence[Row]) -> float | None:
    """Return tokens per verification round, the verifier's own token included.

    It is vLLM's mean acceptance length. A round counts once, however many exchanges it has. None
    without drafts.
    """
    verifications = sum(row.verification_rounds for row in rows)
    drafted = any(row.counts.drafted for row in rows)
    return sum(row.tokens for row in rows) / verifications if verifications and drafted else None


def drafts_per_round(rows: Sequence[Row]) -> float | None:
    """Return drafted tokens per verification round; None without verification rounds."""
    verifications = sum(row.verification_rounds for row in rows)
    return sum(row.counts.drafted for row in rows) / verifications if verifications else None


def passes_per_draft(rows: Sequence[Row]) -> float | None:
    """Return passes of the draft model per drafted token; None without drafts.

    Above 1, some passes yielded no draft; below 1, some yielded several candidates.
    """
    passes = draft_passes(rows)
    drafted = sum(row.counts.drafted for row in rows)
    return None if passes is None or not drafted else passes / drafted


def draft_passes(rows: Sequence[Row]) -> int | None:
    """Return the number of passes of the draft model; None if a row lacks it."""
    return _sum_known(row.counts.draft_passes for row in rows)


def acceptance(rows: Sequence[Row]) -> float | None:
    """Return the acceptance rate: accepted over verified positions; None without verified ones.

    In a tree, all candidates for a position count as one verified position.
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
    """Return the sum; None if any count is None."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


class PositionCounts(NamedTuple):
    """Verified and accepted drafts at one position of a round."""

    verified: int
    accepted: int


def acceptance_per_position(rows: Sequence[Row]) -> list[PositionCounts]:
    """Return the verified and accepted drafts at the first, second, … position of a round."""
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
        "payload": _sum_of(lambda row: row.events.downlink_payload_bits / 8),
        "messages": _sum_of(lambda row: row.events.downlink_message_bytes),
        "frames": _sum_of(lambda row: row.downlink_wire_bytes),
    },
}
"""Bytes by direction and layer: the codec's payload, ZeroMQ's messages, Ethernet frames."""


def predicted_speed(rows: Sequence[Row]) -> float | None:
    """Return the predicted tokens/s: the geometric mean over generations, like the measured one.

    testbed.analysis.prediction makes the predictions. None if any generation lacks one.
    """
    predicted = [
        msgspec.structs.replace(row, seconds=row.tokens / each, tokens_per_second=each)
        for row in rows
        if (each := row.predicted_tokens_per_second)
    ]
    return speed(predicted).estimate if len(predicted) == len(rows) else None


def phase_seconds(rows: Sequence[Row]) -> dict[str, float] | None:
    """Return the seconds of each phase, all generations together; None if one lacks them."""
    if not all(set(PHASES) <= row.phases.keys() for row in rows):
        return None
    return {phase: sum(row.phases[phase] for row in rows) for phase in PHASES}


def slowdown_vs_bound(rows: Sequence[Row]) -> float | None:
    """Return the time of all rounds, divided by the least that links and compute allow.

    None if phases are not known.
    """
    seconds = phase_seconds(rows)
    if seconds is None:
        return None
    bound = sum(seconds[phase] for phase in BOUND)
    return sum(seconds.values()) / bound if bound else None
