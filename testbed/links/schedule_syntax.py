"""How a scenario writes a schedule: `start`, `changes`, and a `trace` of a direction.

start: first_packet                       # or run, the default
changes:
  - {at: 5s, up: {rate: 2mbit}}                                # a step
  - {at: 8s, over: 2s, up: {rate: 10mbit}, down: {delay: 9ms}} # a ramp
  - {at: 12s, outage: 1s}                                      # all is lost, both ways
  - {at: 15s, flap: {down: 100ms, up: 400ms, times: 5}}        # outages again and again
  - {at: 20s, handover: 80ms, up: {rate: 5mbit}}               # all waits, then a step
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
        """Some fields of a LinkSpec; that they go together is checked with all of them."""

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
        """How many outages."""

        parse = partial(parse_count, what="outages", most=MOST_MOMENTS // 2)
        schema = _OUTAGES_SCHEMA


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Flap(_Strict, frozen=True):
    """Outages again and again."""

    down: PositiveTime
    """How long each outage is."""
    up: PositiveTime
    """How long each pause behind an outage is."""
    times: Outages
    """How many outages there are."""


class Change(_Strict, frozen=True):
    """A change of a link: a step, a ramp, an outage, a flap or a handover."""

    at: Time
    """When it begins, by the link's `start`."""
    up: Values | msgspec.UnsetType = msgspec.UNSET
    """What changes from the device on, as in a link."""
    down: Values | msgspec.UnsetType = msgspec.UNSET
    """What changes towards the device, as in a link."""
    over: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """Of a ramp: how long it takes."""
    outage: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """How long all is lost, both ways."""
    flap: Flap | msgspec.UnsetType = msgspec.UNSET
    """Outages again and again."""
    handover: PositiveTime | msgspec.UnsetType = msgspec.UNSET
    """How long all waits before the step, both ways."""

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
    """The schedule of one link.

    traces: per direction, the path of its CSV trace.
    given: per direction, the keys that a scenario or a profile gives besides.
    holds: when all waits because the device hands over, in seconds from the beginning of a run.

    Raises TestbedError, naming the place in the
    scenario or the line of the file, for what no link can do.
    """
    if start not in _STARTS:
        raise TestbedError(f"{where}.start: '{start}' is not one; choose from {', '.join(_STARTS)}")
    try:
        draft = ScheduleBuilder(duplex, holds=holds)
        _follow_traces(draft, traces, given or {}, where)
        return _compile(draft, start, changes, traces, where)
    except TooManyMomentsError as error:
        raise TestbedError(f"{where}: {error}") from None


def _compile(
    draft: ScheduleBuilder,
    start: str,
    changes: Sequence[object],
    traces: Mapping[str, str],
    where: str,
) -> Schedule:
    if draft.holds and _STARTS[start]:
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
                raise TestbedError(f"{place}.{direction}: this direction follows a trace already")
        changes_at.append(values.at)
        try:
            busy_until = _add(draft, values)
        except ValueError as error:
            raise TestbedError(f"{place}.{error}") from error
    return draft.compile(on_first_packet=_STARTS[start], changes_at=changes_at)


def _follow_traces(
    draft: ScheduleBuilder,
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
                draft.row(direction, row.time, row.values)
            except ValueError as error:
                raise TestbedError(f"{row.place}: {error}") from error
        if not flows:
            raise TestbedError(
                f"{where}.{direction}.trace: {path}: its rate is 0 in every row; give one at which "
                "packets are sent"
            )


def _require_before(row: Row, given: Collection[str], where: str) -> None:
    """Refuse a trace before whose first row a link would be without limits that nobody wrote."""
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


def _add(draft: ScheduleBuilder, change: Change) -> float:
    """Enter a change; the time at which it has come to its end."""
    at = change.at
    if change.outage is not msgspec.UNSET:
        draft.outage(at, at + change.outage)
        return at + change.outage
    if change.flap is not msgspec.UNSET:
        flap = change.flap
        period = flap.down + flap.up
        for start in (at + number * period for number in range(flap.times)):
            draft.outage(start, start + flap.down)
        return at + flap.times * period
    if change.over is not msgspec.UNSET:
        for direction, values in change.steps.items():
            _prefixed(direction, draft.ramp, direction, at, change.over, values)
        return at + change.over
    if change.handover is not msgspec.UNSET:
        at += change.handover
        draft.hold(change.at, at)
    for direction, values in change.steps.items():
        _prefixed(direction, draft.set, direction, at, values)
    return at


def _prefixed(direction: str, call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except ValueError as error:
        raise ValueError(f"{direction}.{error}") from error
