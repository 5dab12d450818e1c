"""When packets should cross a link that follows a trace of deliveries, by the trace's own times.

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
_QUIET = 2 * LEAD  # seconds without a delivery that show whether packets wait for one
_UNSURE = 0.5e-3  # seconds that a packet may take to the link, so that a delivery leaves without it


class Course(NamedTuple):
    """Of each packet, the earliest and the latest time at which it can arrive, lost ones aside."""

    earliest: Floats
    latest: Floats


def course(spec: LinkSpec, sent: Sequence[float], size: int, *, began: float) -> Course:
    """The course of packets of `size` bytes that were sent at these times.

    The trace of `spec` began at `began`. A packet is earliest where all before it were lost.
    """
    alone = [served(spec.rate, [time], size, began=began)[0] for time in sent]
    behind = served(spec.rate, [time + _UNSURE for time in sent], size, began=began)
    return Course(np.asarray(alone) + spec.shortest_hold, np.asarray(behind) + spec.longest_hold)


class Beginning(NamedTuple):
    """A time in a trace to begin to send packets at, and the seconds until all have crossed."""

    time: float
    takes: float


def where_to_begin(trace: DeliveryTrace, count: int, every: float, size: int) -> Beginning:
    """The time in a trace from which so many packets of `size` bytes have soonest crossed.

    One is sent every `every` seconds. It is shortly before a delivery, and behind a time without
    one if there is such a time, so that packets have to wait: those of a link that does not follow
    the trace do not.
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
    return Beginning(float(times[starts[best]] - LEAD) % trace.period, float(takes[best]) + LEAD)
