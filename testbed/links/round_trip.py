"""The longest round trip that the settings of a link allow."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME, as_queue
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex, LinkSpec


def longest_round_trip(duplex: Duplex, schedule: Schedule) -> float:
    """Return the longest time, in seconds, for a packet up and its answer down together.

    Both meet a full queue, the longest gap of a trace and the longest hold, and neither is lost.
    """
    ups, downs = {id(duplex.up): duplex.up}, {id(duplex.down): duplex.down}
    held, since = 0.0, None
    for moment in schedule.moments:
        ups[id(moment.up)], downs[id(moment.down)] = moment.up, moment.down
        if since is not None:
            held = max(held, moment.time - since)
        if not (moment.held or 0 in (moment.up.rate, moment.down.rate)):
            since = None
        elif since is None:
            since = moment.time
    return _longest(ups.values()) + _longest(downs.values()) + 2 * held


def _longest(specs: Iterable[LinkSpec]) -> float:
    return max(_queueing(spec) + spec.longest_hold for spec in specs)


def _queueing(spec: LinkSpec) -> float:
    """Return the longest time, in seconds, until the last byte of a packet is sent."""
    rate = spec.mean_rate
    if not rate:  # unlimited; or rate 0, whose waiting time the caller adds
        return 0.0
    full = (as_queue(spec.queue).full_frames(rate) + 1) * FULL_FRAME * 8 / rate
    return full + (spec.rate.longest_gap if isinstance(spec.rate, DeliveryTrace) else 0.0)
