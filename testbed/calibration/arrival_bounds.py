"""Arrival times of packets on a link that follows a delivery trace, computed from the trace.

All times are in seconds on one clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from testbed.calibration.probes import Floats
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME
from testbed.links.service import served
from testbed.links.spec import LinkSpec

LEAD = 0.01
"""Seconds before a delivery at which the first packet is sent."""
_QUIET = 2 * LEAD  # seconds without a delivery, long enough to see that packets wait for one
_UNSURE = 0.5e-3  # seconds a packet may take to the link, and so miss a delivery


class ArrivalBounds(NamedTuple):
    """The earliest and the latest time at which each packet can arrive, unless it is lost."""

    earliest: Floats
    latest: Floats


def arrival_bounds(
    spec: LinkSpec, sent: Sequence[float], size: int, *, began: float
) -> ArrivalBounds:
    """Return the arrival bounds of packets of `size` bytes that were sent at these times.

    began: time 0 of the trace of `spec`. The earliest arrival is that of a packet before which all
    others were lost.
    """
    alone = [served(spec.rate, [time], size, began=began)[0] for time in sent]
    behind = served(spec.rate, [time + _UNSURE for time in sent], size, began=began)
    return ArrivalBounds(
        np.asarray(alone) + spec.shortest_hold, np.asarray(behind) + spec.longest_hold
    )


class TraceStart(NamedTuple):
    """A time in a trace to start sending at, and the seconds from then until all have crossed."""

    time: float
    takes: float


def best_start(trace: DeliveryTrace, count: int, every: float, size: int) -> TraceStart:
    """Return the time in a trace from which `count` packets of `size` bytes cross soonest.

    A packet is sent every `every` seconds. The start is shortly before a delivery, and if possible
    at the end of a gap without deliveries: packets then have to wait, which they would not on a
    link that ignores the trace.
    """
    times = np.asarray(trace.times)
    gaps = np.diff(times, prepend=times[-1] - trace.period)
    quiet = gaps >= _QUIET
    starts = np.flatnonzero(quiet if quiet.any() else gaps > 0)
    last = times[starts] - LEAD + (count - 1) * every
    rounds, rest = np.divmod(np.maximum(last, 0), trace.period)
    next_one = rounds.astype(int) * len(times) + np.searchsorted(times, rest)
    enough = starts + math.ceil(count * size / FULL_FRAME) - 1
    number = np.maximum(next_one, enough)
    takes = number // len(times) * trace.period + times[number % len(times)] - times[starts]
    best = int(np.argmin(takes))
    return TraceStart(float(times[starts[best]] - LEAD) % trace.period, float(takes[best]) + LEAD)
