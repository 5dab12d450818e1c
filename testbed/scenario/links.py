"""The links and handovers of a scenario, checked against its topology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from testbed.config.convert import convert
from testbed.errors import TestbedError
from testbed.links.handovers import Handover, Interval, read_handovers
from testbed.links.profiles import find_profile
from testbed.links.queue import as_queue
from testbed.links.schedule import Schedule
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.scenario.schema import Directions, ScenarioSpec
from testbed.topology.declarations import LinkDeclaration, known_topologies, topology_paths


def check_handovers(spec: ScenarioSpec, paths: list[str], where: str) -> list[Handover]:
    """Read the handovers of a scenario, in order of time; `paths` are those of its topology.

    Raises TestbedError for a topology with one path and for a handover that is not possible.
    """
    if spec.handovers and not paths:
        able = [name for name, kind in known_topologies().items() if topology_paths(kind())]
        raise TestbedError(
            f"{where}: handovers: topology {spec.topology} has one path only; "
            f"choose from {', '.join(able)}"
        )
    return read_handovers(spec.handovers, paths, f"{where}: handovers")


def check_links(
    raw: dict[str, Any],
    declared: list[LinkDeclaration],
    held: Mapping[str, list[Interval]],
    where: str,
) -> tuple[dict[str, Duplex], dict[str, Schedule]]:
    """Read the links of a scenario, and the schedule of each, by name.

    `declared` are the links of the topology, `held` the intervals in which a handover stalls them.
    Raises TestbedError when a link is missing or unknown, or a value is not possible.
    """
    names = [link.name for link in declared]
    if sorted(raw) != sorted(names):
        raise TestbedError(
            f"{where}: links: {', '.join(raw) or 'none'} given; this topology has "
            f"exactly {', '.join(names)}"
        )
    links, schedules = {}, {}
    for link in declared:
        name, place = link.name, f"{where}: links.{link.name}"
        directions = convert(raw[name], Directions, f"{place}.")
        up, down = dict(directions.up), dict(directions.down)
        traces = {
            direction: str(values.pop("trace"))
            for direction, values in (("up", up), ("down", down))
            if "trace" in values
        }
        if directions.profile is not None:
            profile = find_profile(directions.profile, f"{place}.profile")
            up, down = {**profile.up.mapping(), **up}, {**profile.down.mapping(), **down}
        links[name] = Duplex(
            up=_disciplined(LinkSpec.parse(up, f"{place}.up"), link, directions.up),
            down=_disciplined(LinkSpec.parse(down, f"{place}.down"), link, directions.down),
        )
        for direction in ("up", "down"):
            if getattr(links[name], direction).stands_still:
                raise TestbedError(
                    f"{place}.{direction}.rate: it is 0 from the beginning; give the rate of most "
                    "of the time, and 0 in changes or in rows of a trace"
                )
        schedules[name] = read_schedule(
            links[name],
            directions.start,
            directions.changes,
            traces,
            place,
            holds=held.get(name, ()),
            given={"up": up, "down": down},
        )
    return links, schedules


def _disciplined(spec: LinkSpec, link: LinkDeclaration, written: Mapping[str, Any]) -> LinkSpec:
    """Return the spec with the link's own queue discipline, unless the scenario sets the queue."""
    queue = as_queue(spec.queue)
    plain = queue.discipline == "drop_tail"
    if "queue" in written or not plain or link.discipline == "drop_tail":
        return spec
    disciplined = msgspec.structs.replace(queue, discipline=link.discipline)
    return msgspec.structs.replace(spec, queue=disciplined)
