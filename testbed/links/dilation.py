"""Links in real time, as the kernel has to emulate them when time is dilated."""

import dataclasses

from msgspec.structs import replace

from testbed.links.jitter import Jitter
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.measured import MeasuredDelays
from testbed.links.queue import Queue
from testbed.links.spec import LinkSpec


def slowed(spec: LinkSpec, factor: float) -> LinkSpec:
    """Return a link that is `factor` times as slow: times are multiplied, rates divided by it.

    Bytes, packets and shares stay the same. The contents of trace files are scaled in memory only,
    so the result must not be written into a scenario.
    """
    if factor == 1:
        return spec
    return replace(
        spec,
        rate=_slowed_rate(spec.rate, factor),
        delay=spec.delay * factor,
        jitter=_slowed_jitter(spec.jitter, factor),
        queue=_slowed_queue(spec.queue, factor),
    )


def _slowed_rate(rate: float | DeliveryTrace | None, factor: float) -> float | DeliveryTrace | None:
    if isinstance(rate, DeliveryTrace):
        return dataclasses.replace(rate, times=tuple(time * factor for time in rate.times))
    return rate and rate / factor


def _slowed_jitter(jitter: float | Jitter, factor: float) -> float | Jitter:
    if not isinstance(jitter, Jitter):
        return jitter * factor
    measured = jitter.measured
    if isinstance(measured, MeasuredDelays):
        measured = dataclasses.replace(
            measured, delays=tuple(each * factor for each in measured.delays)
        )
    return replace(jitter, spread=jitter.spread * factor, measured=measured)


def _slowed_queue(queue: int | Queue, factor: float) -> int | Queue:
    if not isinstance(queue, Queue):
        return queue
    timed = queue.discipline == "codel"
    return replace(
        queue,
        limit=queue.limit * factor if queue.unit == "seconds" else queue.limit,
        target=queue.target * factor if timed else queue.target,
        interval=queue.interval * factor if timed else queue.interval,
    )
