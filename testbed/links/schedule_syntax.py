"""How a scenario writes a schedule: `start`, `changes`, and a `trace` of a direction.

start: first_packet                       # or run, the default
changes:
  - {at: 5s, up: {rate: 2mbit}}                                # a step
  - {at: 8s, over: 2s, up: {rate: 10mbit}, down: {delay: 9ms}} # a ramp
  - {at: 12s, outage: 1s}                                      # all is lost, both ways
  - {at: 15s, flap: {down: 100ms, up: 400ms, times: 5}}        # outages again and again
  - {at: 20s, handover: 80ms, up: {rate: 5mbit}}               # all waits, then a step
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.bounds import MOST_MOMENTS
from testbed.errors import TestbedError
from testbed.links.csv_trace import FROM_ZERO, Row, read_csv_trace
from testbed.links.field_readers import FieldReader, read_fields, require, scalar
from testbed.links.schedule import Schedule, ScheduleBuilder, TooManyMomentsError
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.units import format_time, parse_count, parse_time

_KINDS = ("over", "outage", "flap", "handover")
_STARTS = {"run": False, "first_packet": True}


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
        if values["at"] < busy_until:
            raise TestbedError(
                f"{place}.at: {format_time(values['at'])} comes before the end of the change "
                f"above it, {format_time(busy_until)}"
            )
        for direction in traces:
            if direction in values:
                raise TestbedError(f"{place}.{direction}: this direction follows a trace already")
        changes_at.append(values["at"])
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


def _read_change(change: object, place: str) -> dict[str, Any]:
    if not isinstance(change, Mapping):
        raise TestbedError(f"{place}: a change is a mapping, e.g. {{at: 5s, up: {{rate: 2mbit}}}}")
    values = read_fields(change, _READERS, place)
    require(change, ("at",), place)
    kinds = [kind for kind in _KINDS if kind in values]
    if len(kinds) > 1:
        raise TestbedError(f"{place}.{kinds[1]}: it cannot go with {kinds[0]}; make two changes")
    steps = [direction for direction in ("up", "down") if direction in values]
    if not kinds and not steps:
        raise TestbedError(f"{place}: nothing changes; give up, down, {', '.join(_KINDS)}")
    if kinds and kinds[0] in ("outage", "flap") and steps:
        raise TestbedError(f"{place}.{steps[0]}: it cannot go with {kinds[0]}; make two changes")
    if kinds == ["over"] and not steps:
        raise TestbedError(f"{place}.over: nothing changes; give up or down")
    return values


def _add(draft: ScheduleBuilder, change: dict[str, Any]) -> float:
    """Enter a change; the time at which it has come to its end."""
    at: float = change["at"]
    steps = [(direction, change[direction]) for direction in ("up", "down") if direction in change]
    if "outage" in change:
        draft.outage(at, at + change["outage"])
        return at + float(change["outage"])
    if "flap" in change:
        flap = change["flap"]
        period = flap["down"] + flap["up"]
        for start in (at + number * period for number in range(flap["times"])):
            draft.outage(start, start + flap["down"])
        return float(at + flap["times"] * period)
    if "over" in change:
        for direction, values in steps:
            _prefixed(direction, draft.ramp, direction, at, change["over"], values)
        return at + float(change["over"])
    at += change.get("handover", 0.0)
    if "handover" in change:
        draft.hold(change["at"], at)
    for direction, values in steps:
        _prefixed(direction, draft.set, direction, at, values)
    return at


def _prefixed(direction: str, call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except ValueError as error:
        raise ValueError(f"{direction}.{error}") from error


def _read_values(value: object, where: str) -> dict[str, Any]:
    """Some fields of a LinkSpec; that they go together is checked with all of them."""
    if not isinstance(value, Mapping) or not value:
        raise TestbedError(f"{where}: a mapping of what changes is needed, e.g. {{rate: 2mbit}}")
    if "mtu" in value:
        raise TestbedError(f"{where}.mtu: it cannot change while packets are under way")
    return LinkSpec.parse_fields(value, where)


def _positive_time(text: str) -> float:
    time = parse_time(text)
    if time == 0:
        raise ValueError(f"{text!r} is too short; it must be more than 0")
    return time


def _read_flap(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TestbedError(f"{where}: it is written {{down: 100ms, up: 400ms, times: 5}}")
    readers: dict[str, FieldReader] = {
        "down": scalar(_positive_time),
        "up": scalar(_positive_time),
        "times": scalar(lambda text: parse_count(text, "outages", MOST_MOMENTS // 2)),
    }
    values = read_fields(value, readers, where)
    require(value, tuple(readers), where)
    return values


_READERS: dict[str, FieldReader] = {
    "at": scalar(parse_time),
    "up": _read_values,
    "down": _read_values,
    "over": scalar(_positive_time),
    "outage": scalar(_positive_time),
    "flap": _read_flap,
    "handover": scalar(_positive_time),
}
