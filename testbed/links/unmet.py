"""Changes, rows and traces of a link that a run did not reach, or only reached in part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from testbed.links.handovers import Handover
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex
from testbed.links.units import format_time


def unmet(
    links: Mapping[str, Duplex],
    schedules: Mapping[str, Schedule],
    handovers: Sequence[Handover],
    seconds: float,
    since: Mapping[str, float | None],
) -> list[str]:
    """Return a message for each change, row, trace and handover that a run did not reach.

    seconds: the duration of the run.
    since: for each link the seconds since time 0 of its schedule, None if that never came.
    """
    found: list[str] = []
    for name, duplex in links.items():
        schedule, passed = schedules.get(name, Schedule()), since[name]
        if passed is None:
            if schedule.moments or any(_traces(duplex, schedule)):
                never = "its schedule begins with the first packet, and none came"
                found.append(f"link {name}: {never}")
            continue
        found += _late(f"link {name}: the change", schedule.changes_at, passed)
        found += _rows(name, schedule, passed)
        found += _deliveries(name, duplex, schedule, passed)
    return found + list(_late("the handover", [each.time for each in handovers], seconds))


def _late(what: str, times: Sequence[float], seconds: float) -> Iterator[str]:
    late = [time for time in times if time > seconds]
    if len(late) == 1:
        yield f"{what} at {format_time(late[0])} never took place"
    elif late:
        yield f"{what}s from {format_time(late[0])} on never took place"


def _rows(name: str, schedule: Schedule, seconds: float) -> Iterator[str]:
    for direction, last in schedule.rows_until:
        where = f"link {name} {direction}: the last row of its trace, at {format_time(last)},"
        if last > seconds:
            yield f"{where} was not reached"
        elif last > 0:
            yield f"{where} held to the end"


def _deliveries(name: str, duplex: Duplex, schedule: Schedule, seconds: float) -> Iterator[str]:
    for direction, trace in _traces(duplex, schedule):
        fate = "was not played to its end" if trace.period > seconds else "began again"
        yield f"link {name} {direction}: the trace of {format_time(trace.period)} {fate}"


def _traces(duplex: Duplex, schedule: Schedule) -> Iterator[tuple[str, DeliveryTrace]]:
    """Yield each direction with each trace of deliveries that it follows at some time, once."""
    for direction in ("up", "down"):
        specs = [getattr(state, direction) for state in (duplex, *schedule.moments)]
        rates = (spec.rate for spec in specs if isinstance(spec.rate, DeliveryTrace))
        for trace in dict.fromkeys(rates):
            yield direction, trace
