"""Schedules as a scenario writes them: `start`, `changes`, and a `trace` of a direction.

start: first_packet                       # or run, the default
changes:
  - {at: 5s, up: {rate: 2mbit}}                                # a step
  - {at: 8s, over: 2s, up: {rate: 10mbit}, down: {delay: 9ms}} # a ramp
  - {at: 12s, outage: 1s}                                      # all packets are lost
  - {at: 15s, flap: {down: 100ms, up: 400ms, times: 5}}        # repeated outages
  - {at: 20s, handover: 80ms, up: {rate: 5mbit}}               # packets wait, then a step
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from typing_extensions import override

from testbed.bounds import MOST_MOMENTS
from testbed.config.convert import convert
from testbed.config.written import FieldError, Schema, Written
from testbed.errors import TestbedError
from testbed.links.csv_trace import FROM_ZERO, Row, read_csv_trace
from testbed.links.quantities import PositiveTime, Text, Time
from testbed.links.schedule import Schedule, ScheduleBuilder, TooManyMomentsError
from testbed.links.spec import Duplex, SomeFields, read_fields
from testbed.links.units import format_time, parse_count

_KINDS = ("over", "outage", "flap", "handover")
_OUTAGES_SCHEMA = {"type": "integer", "minimum": 1, "maximum": MOST_MOMENTS // 2}
_STARTS = {"run": False, "first_packet": True}


if TYPE_CHECKING:
    Values = dict[str, Any]
    Outages = int
else:

    class Values(Written):
        """Some fields of a LinkSpec; rules between fields are checked with the whole schedule."""

        @override
        @classmethod
        def read(cls, raw: object) -> dict[str, Any]:
            if not isinstance(raw, Mapping) or not raw:
                raise ValueError("a mapping of what changes is needed, e.g. {rate: 2mbit}")
            if "mtu" in raw:
                raise FieldError("mtu", "it cannot change while packets are under way")
            return read_fields(raw)

        @override
        @classmethod
        def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
            return {"allOf": [ref(SomeFields)], "properties": {"mtu": False}, "minProperties": 1}

    class Outages(Text):
        """A number of outages."""

        parse = partial(parse_count, what="outages", most=MOST_MOMENTS // 2)
        schema = _OUTAGES_SCHEMA


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Flap(_Strict, frozen=True):
    """Repeated outages."""

    down: PositiveTime
    """The length of each outage, e.g. "100ms"."""
    up: PositiveTime
    """The time between outages, e.g. "400ms"."""
    times: Outages
    """The number of outages, e.g. 5."""


class Change(_Strict, frozen=True):
    """A change of a link: a step, a ramp, an outage, a flap or a handover."""

    at: Time
    """The beginning of the change, counted from the link's `start`, e.g. "5s"."""
    up: Values | msgspec.UnsetType = msgspec.UNSET
    """The fields that change in the direction away from the device, e.g. {rate: 2mbit}."""
    down: Values | msgspec.UnsetType = msgspec.UNSET
    """The fields that change in the direction towards the device, e.g. {delay: 9ms}."""
    over: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """The length of a ramp: fields change linearly within this time, e.g. "2s"."""
    outage: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """The time for which all packets of both directions are lost, e.g. "1s"."""
    flap: Flap | msgspec.UnsetType = msgspec.UNSET
    """Repeated outages, e.g. {down: 100ms, up: 400ms, times: 5}."""
    handover: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """The time for which packets of both directions wait before the step, e.g. "80ms"."""

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """The fields that change, by direction."""
        each = {"up": self.up, "down": self.down}
        return {name: values for name, values in each.items() if values is not msgspec.UNSET}


def read_schedule(
    duplex: Duplex,
    start: str,
    changes: Sequence[object],
    traces: Mapping[str, str],
    where: str,
    *,
    holds: Iterable[tuple[float, float]] = (),
    given: Mapping[str, Collection[str]] | None = None,
) -> Schedule:
    """Read the schedule of one link.

    duplex: the link before the first change.
    start: run or first_packet; changes: the changes as the scenario writes them.
    traces: the path of the CSV trace of each direction that has one.
    holds: intervals in which packets wait for a handover, in seconds from the beginning of a run.
    given: for each direction, the keys that the scenario or a profile sets.

    Raises TestbedError, with the key in the scenario or the line of the file, for a change that is
    not possible.
    """
    if start not in _STARTS:
        raise TestbedError(
            f"{where}.start: '{start}' is not a start; choose from {', '.join(_STARTS)}"
        )
    try:
        builder = ScheduleBuilder(duplex, holds=holds)
        _follow_traces(builder, traces, given or {}, where)
        return _compile(builder, start, changes, traces, where)
    except TooManyMomentsError as error:
        raise TestbedError(f"{where}: {error}") from None


def _compile(
    builder: ScheduleBuilder,
    start: str,
    changes: Sequence[object],
    traces: Mapping[str, str],
    where: str,
) -> Schedule:
    if builder.holds and _STARTS[start]:
        raise TestbedError(
            f"{where}.start: '{start}' cannot go with handovers, which stall this link at times "
            "of the run; use run"
        )
    busy_until = 0.0
    changes_at = []
    for index, change in enumerate(changes):
        place = f"{where}.changes[{index}]"
        values = _read_change(change, place)
        if values.at < busy_until:
            raise TestbedError(
                f"{place}.at: {format_time(values.at)} comes before the end of the change "
                f"above it, {format_time(busy_until)}"
            )
        for direction in traces:
            if direction in values.steps:
                raise TestbedError(
                    f"{place}.{direction}: this direction follows a trace already; change the "
                    "other one, or leave out the trace"
                )
        changes_at.append(values.at)
        try:
            busy_until = _add(builder, values)
        except ValueError as error:
            raise TestbedError(f"{place}.{error}") from error
    return builder.compile(on_first_packet=_STARTS[start], changes_at=changes_at)


def _follow_traces(
    builder: ScheduleBuilder,
    traces: Mapping[str, str],
    given: Mapping[str, Collection[str]],
    where: str,
) -> None:
    for direction, path in traces.items():
        first, flows = True, False
        for row in read_csv_trace(Path(path), f"{where}.{direction}.trace"):
            if first and row.time > 0:
                _require_before(row, given.get(direction, ()), f"{where}.{direction}")
                flows = True
            first = False
            flows = flows or row.values.get("rate") != 0
            try:
                builder.row(direction, row.time, row.values)
            except ValueError as error:
                raise TestbedError(f"{row.place}: {error}") from error
        if not flows:
            raise TestbedError(
                f"{where}.{direction}.trace: {path}: its rate is 0 in every row; give one at which "
                "packets are sent"
            )


def _require_before(row: Row, given: Collection[str], where: str) -> None:
    """Require the fields of a trace that begins after 0 s to be given for the time before.

    Otherwise their defaults, such as an unlimited rate, would hold, which nobody asked for.
    """
    missing = [name for name in row.values if name not in given]
    if missing:
        raise TestbedError(
            f"{row.place}: the first row is at {format_time(row.time)}, and nothing says what "
            f"holds before; {FROM_ZERO}, or give {where}.{missing[0]}"
        )


def _read_change(change: object, place: str) -> Change:
    if not isinstance(change, Mapping):
        raise TestbedError(f"{place}: a change is a mapping, e.g. {{at: 5s, up: {{rate: 2mbit}}}}")
    read = convert(change, Change, f"{place}.")
    kinds = [kind for kind in _KINDS if getattr(read, kind) is not msgspec.UNSET]
    if len(kinds) > 1:
        raise TestbedError(f"{place}.{kinds[1]}: it cannot go with {kinds[0]}; make two changes")
    steps = list(read.steps)
    if not kinds and not steps:
        raise TestbedError(f"{place}: nothing changes; give up, down, {', '.join(_KINDS)}")
    if kinds and kinds[0] in ("outage", "flap") and steps:
        raise TestbedError(f"{place}.{steps[0]}: it cannot go with {kinds[0]}; make two changes")
    if kinds == ["over"] and not steps:
        raise TestbedError(f"{place}.over: nothing changes; give up or down")
    return read


def _add(builder: ScheduleBuilder, change: Change) -> float:
    """Add a change; return the time at which it ends, in seconds."""
    at = change.at
    if change.outage is not msgspec.UNSET:
        builder.outage(at, at + change.outage)
        return at + change.outage
    if change.flap is not msgspec.UNSET:
        flap = change.flap
        period = flap.down + flap.up
        for start in (at + number * period for number in range(flap.times)):
            builder.outage(start, start + flap.down)
        return at + flap.times * period
    if change.over is not msgspec.UNSET:
        for direction, values in change.steps.items():
            _prefixed(direction, builder.ramp, direction, at, change.over, values)
        return at + change.over
    if change.handover is not msgspec.UNSET:
        at += change.handover
        builder.hold(change.at, at)
    for direction, values in change.steps.items():
        _prefixed(direction, builder.set, direction, at, values)
    return at


def _prefixed(direction: str, call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except ValueError as error:
        raise ValueError(f"{direction}.{error}") from error
