"""A checked scenario: what to build, what to run, on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from testbed.config.yaml_loader import get_value
from testbed.emulation.netem_support import refusals
from testbed.links.handovers import Handover
from testbed.links.idle import idle
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex
from testbed.links.units import format_time
from testbed.models.compute.pace import Pace
from testbed.models.spec import Role
from testbed.scenario.compute import costs
from testbed.scenario.methods import MethodEntry
from testbed.scenario.schema import ScenarioSpec
from testbed.scenario.sweep import Values, differences


@dataclass(frozen=True)
class Point:
    """One point of a sweep: the values replaced, by key, and the scenario that results."""

    values: Values
    scenario: Scenario


@dataclass(frozen=True)
class Scenario:
    """A checked scenario: the file as written in `spec`, and what was read from it."""

    spec: ScenarioSpec
    links: dict[str, Duplex]
    schedules: dict[str, Schedule]
    handovers: list[Handover]
    methods: list[MethodEntry]
    prompts: list[str]
    paces: dict[Role, Pace]
    """The pace of each model that has one."""
    timeout: float
    """The longest wait for an answer in seconds before a run fails."""
    radios: list[str]
    """The links between which the device can hand over; it starts on the first one."""
    source: str
    """The file that the scenario was read from, for messages."""
    points: tuple[Point, ...] = ()
    """The points of the sweep; empty without a sweep."""

    @property
    def name(self) -> str:
        """The name of the scenario and of its results directory."""
        return self.spec.name

    def every_point(self) -> tuple[Point, ...]:
        """Return the points of the sweep; without a sweep the scenario itself, as one point."""
        return self.points or (Point({}, self),)

    def entry(self, label: str) -> MethodEntry:
        """Return the method with this label."""
        (found,) = (each for each in self.methods if each.label == label)
        return found

    def netem_refusals(self) -> list[str]:
        """Return each setting of links, at any point, that kernel netem cannot emulate."""
        return [
            refusal
            for point in self.every_point()
            for refusal in refusals(point.scenario.links, point.scenario.schedules)
        ]

    def idle(self) -> list[str]:
        """Return a sentence for each setting of links that has no effect, with the reason."""
        found = [
            (f"{name}.{key}", reason)
            for name, duplex in self.links.items()
            for key, reason in idle(self.spec.links[name], duplex, self.schedules[name])
        ]
        used = {*self.radios[:1], *(handover.to for handover in self.handovers)}
        found += [(name, "no handover leads to it") for name in self.radios if name not in used]
        return [f"links.{key} has no effect: {reason}" for key, reason in found]

    def to_mapping(self) -> dict[str, Any]:
        """Return the scenario with every default filled in, which loads as the same scenario."""
        mapping: dict[str, Any] = msgspec.to_builtins(self.spec)
        mapping["links"] = {
            name: {
                # The profile stays as the source of the values, which are all written out.
                **self._as_written(name, "profile", "start", "changes"),
                "up": {**self._trace(name, "up"), **duplex.up.to_mapping()},
                "down": {**self._trace(name, "down"), **duplex.down.to_mapping()},
            }
            for name, duplex in self.links.items()
        }
        mapping["compute"] = {
            role: {
                **({"profile": cost.profile} if cost.profile else {}),
                "per_pass": format_time(self.paces[role].per_pass),
                "per_token": format_time(self.paces[role].per_token),
            }
            for role, cost in costs(self.spec.compute).items()
        } or self.spec.compute
        mapping["handovers"] = [handover.to_mapping() for handover in self.handovers]
        mapping["methods"] = [
            {"method": entry.method, "label": entry.label, **entry.options}
            for entry in self.methods
        ]
        mapping["prompts"] = self.prompts
        mapping["models"] = {k: v for k, v in mapping["models"].items() if v is not None}
        mapping["timeout"] = format_time(self.timeout)
        # Values that follow from others, such as a queue from a rate, differ between points too.
        base = {**mapping, "sweep": []}
        mapping["sweep"] = [
            differences(base, point.scenario.to_mapping()) or _as_resolved(point)
            for point in self.points
            if point.values
        ]
        return mapping

    def _as_written(self, link: str, *keys: str) -> dict[str, Any]:
        return {key: value for key, value in self.spec.links[link].items() if key in keys}

    def _trace(self, link: str, direction: str) -> dict[str, str]:
        written = self.spec.links[link].get(direction, {})
        return {"trace": written["trace"]} if "trace" in written else {}


def _as_resolved(point: Point) -> Values:
    """Return the values of a point whose scenario is the same as the base.

    Paths of files are absolute and prompts are texts.
    """
    spec = msgspec.to_builtins(point.scenario.spec)
    keys = [key for key in point.values if key.split(".")[0] != "prompts"]
    found = {key: get_value(spec, key) for key in keys}
    return found or {"prompts": point.scenario.prompts}
