"""Settings of a link that have no effect because of its other settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.links.jitter import as_jitter
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import as_queue
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex, LinkSpec, default_queue
from testbed.links.units import format_size

_DEFAULTS = {name: getattr(LinkSpec(), name) for name in LinkSpec.__struct_fields__}


IdleSetting = tuple[str, str]
"""A key and the reason why it has no effect."""


def idle(written: Mapping[str, Any], duplex: Duplex, schedule: Schedule) -> list[IdleSetting]:
    """Return the settings without effect, by their keys below the link.

    `written` is the link as the scenario writes it.
    """
    found: list[IdleSetting] = []
    traced = False
    for direction in ("up", "down"):
        specs: list[LinkSpec] = [getattr(state, direction) for state in (duplex, *schedule.moments)]
        traced = traced or any(isinstance(spec.rate, DeliveryTrace) for spec in specs)
        given = written.get(direction, {})
        reasons = (
            *_replaced(given, specs, schedule),
            *_queue(given, specs, schedule),
            *_jitter(given, specs[0]),
            *(found for kind, value in specs[0].impairments() for found in kind.idle(value)),
        )
        found += [(f"{direction}.{key}", reason) for key, reason in reasons]
    if "start" in written and not schedule.moments and not traced:
        found.append(("start", "nothing changes, and there is no trace of deliveries"))
    return found


def _replaced(
    given: Mapping[str, Any], specs: Sequence[LinkSpec], schedule: Schedule
) -> Iterator[IdleSetting]:
    """Yield values that are never in force, because the link begins with a change."""
    if not schedule.at_once:
        return
    for name, default in _DEFAULTS.items():
        first = getattr(specs[0], name)
        later = [getattr(spec, name) for spec in specs[1:]]
        if name in given and first not in (default, *later):
            reason = "a trace or a change replaces it at 0 s"
            if name == "rate" and (size := _made_of_rate(given, specs[0])):
                reason += f", but for the default queue, which is {format_size(size)} by it"
            yield name, reason


def _made_of_rate(given: Mapping[str, Any], spec: LinkSpec) -> int:
    """Return the bytes of the default queue if the rate determines them, else 0."""
    size = default_queue(spec.mean_rate)
    return size if "queue" not in given and spec.queue == size != default_queue(None) else 0


def _queue(
    given: Mapping[str, Any], specs: Sequence[LinkSpec], schedule: Schedule
) -> Iterator[IdleSetting]:
    unlimited = all(spec.rate is None for spec in specs)
    held = any(moment.held for moment in schedule.moments)  # then packets wait, too
    if held and as_queue(specs[0].queue).discipline != "drop_tail":
        return
    if "queue" in given and unlimited and specs[0].queue != _DEFAULTS["queue"]:
        yield "queue", "nothing queues without a rate"


def _jitter(given: Mapping[str, Any], spec: LinkSpec) -> Iterator[IdleSetting]:
    if isinstance(given.get("jitter"), Mapping) and as_jitter(spec.jitter).none:
        yield "jitter", "its spread is 0"
