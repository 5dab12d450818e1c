"""A scenario: what to build, what to run, on what.

Everything is checked here, before anything starts; an error names the file, the key, the value and
what is allowed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
from mininet.topo import Topo

from testbed.bounds import LARGEST_SCENARIO, MOST_GENERATIONS, Name
from testbed.config.convert import convert
from testbed.config.yaml_loader import apply_change, get_value, parse_yaml
from testbed.emulation.netem_support import refusals
from testbed.emulation.topology import (
    LinkDeclaration,
    known_topologies,
    load_topology,
    topology_hosts,
    topology_links,
    topology_paths,
)
from testbed.errors import TestbedError
from testbed.files.input_file import read_text
from testbed.links.files import place_files
from testbed.links.handovers import Handover, Interval, held_links, read_handovers
from testbed.links.idle import idle
from testbed.links.profiles import find_profile
from testbed.links.queue import as_queue
from testbed.links.schedule import Schedule
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.units import format_time, parse_time
from testbed.methods.base import method_class, parse_options
from testbed.models.compute.pace import Pace
from testbed.models.compute.profiles import find_compute_profile, place_profiles
from testbed.models.spec import Role
from testbed.models.store.catalog import place_model
from testbed.prompts.reader import PromptReader
from testbed.protocol.channel import LONGEST_TIMEOUT
from testbed.scenario.schema import Compute, Cost, Directions, Models, RealModel, ScenarioSpec
from testbed.scenario.sweep import (
    Values,
    at_point,
    differences,
    point_text,
    read_points,
    swept_keys,
)

VERIFIERS = ("base_station", "cloud")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NAMING = "begin with a letter or digit of ASCII, then use these, '_', '.' and '-'"


@dataclass(frozen=True)
class MethodEntry:
    """One method with its options, under a label of its own."""

    label: str
    method: str
    options: dict[str, Any]
    uses_verifier: bool


@dataclass(frozen=True)
class Point:
    """One point of a sweep."""

    values: Values
    scenario: Scenario


@dataclass(frozen=True)
class Scenario:
    """A checked scenario."""

    spec: ScenarioSpec
    links: dict[str, Duplex]
    schedules: dict[str, Schedule]
    handovers: list[Handover]
    methods: list[MethodEntry]
    prompts: list[str]
    paces: dict[Role, Pace]
    """Of the models that are paced."""
    timeout: float
    """Longest silence in seconds before a run is given up."""
    radios: list[str]
    """The links that the device can hand over between, the first one in use at first."""
    source: str
    """The file it was read from, for messages."""
    points: tuple[Point, ...] = ()
    """The points of its sweep; none without one."""

    @property
    def name(self) -> str:
        """Used for the results directory."""
        return self.spec.name

    def every_point(self) -> tuple[Point, ...]:
        """The points of its sweep; without one itself, with no values."""
        return self.points or (Point({}, self),)

    def netem_refusals(self) -> list[str]:
        """What kernel netem cannot do of the links, at any point."""
        return [
            refusal
            for point in self.every_point()
            for refusal in refusals(point.scenario.links, point.scenario.schedules)
        ]

    def idle(self) -> list[str]:
        """What it asks of links that can take no effect, with the reasons."""
        found = [
            (f"{name}.{key}", reason)
            for name, duplex in self.links.items()
            for key, reason in idle(self.spec.links[name], duplex, self.schedules[name])
        ]
        used = {*self.radios[:1], *(handover.to for handover in self.handovers)}
        found += [(name, "no handover leads to it") for name in self.radios if name not in used]
        return [f"links.{key} has no effect: {reason}" for key, reason in found]

    def to_mapping(self) -> dict[str, Any]:
        """The scenario with every default filled in; reads back as the same scenario."""
        mapping: dict[str, Any] = msgspec.to_builtins(self.spec)
        mapping["links"] = {
            name: {
                # The profile stays, to say where the figures came from; they are all spelt out.
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
            for role, cost in _costs(self.spec.compute).items()
        } or self.spec.compute
        mapping["handovers"] = [handover.to_mapping() for handover in self.handovers]
        mapping["methods"] = [
            {"method": entry.method, "label": entry.label, **entry.options}
            for entry in self.methods
        ]
        mapping["prompts"] = self.prompts
        mapping["models"] = {k: v for k, v in mapping["models"].items() if v is not None}
        mapping["timeout"] = format_time(self.timeout)
        # What follows from a value, such as a queue's length from a rate, differs as well.
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
    """The values of a point that is the scenario itself, with files placed and prompts as texts."""
    spec = msgspec.to_builtins(point.scenario.spec)
    keys = [key for key in point.values if key.split(".")[0] != "prompts"]
    found = {key: get_value(spec, key) for key in keys}
    return found or {"prompts": point.scenario.prompts}


def load_scenario(
    path: Path, changes: Sequence[str] = (), methods: Sequence[str] | None = None
) -> Scenario:
    """Read and check a scenario file.

    `changes` are KEY.KEY=VALUE texts that replace values before checking; `methods` keeps only
    the methods with these labels. Raises TestbedError.
    """
    raw = parse_yaml(read_text(path, str(path), piped=True, most=LARGEST_SCENARIO), str(path))
    if not isinstance(raw, dict):
        raise TestbedError(f"{path}: a scenario is a mapping of keys to values")
    for change in changes:
        apply_change(raw, change)
        key = f"{change.partition('=')[0]}."
        if any(key.startswith(f"{swept}.") for swept in swept_keys(raw.get("sweep"))):
            raise TestbedError(f"--set {change}: {path} sweeps it; --set sweep={{}} ends that")
    scenario = check_scenario(raw, str(path))
    if methods is None:
        return scenario
    labels = [entry.label for entry in scenario.methods]
    for label in methods:
        if label not in labels:
            raise TestbedError(f"--methods: '{label}' is not in {path}; it has {', '.join(labels)}")
    return _with_methods(scenario, methods, f"{path}")


def _with_methods(scenario: Scenario, labels: Sequence[str], where: str) -> Scenario:
    """The scenario with the methods of these labels alone, at each of its points."""
    points = [
        replace(
            point,
            scenario=_with_methods(
                point.scenario, labels, f"{where} at sweep point {point_text(point.values)}"
            ),
        )
        for point in scenario.points
    ]
    kept = [entry for entry in scenario.methods if entry.label in labels]
    if not kept:
        known = ", ".join(entry.label for entry in scenario.methods)
        raise TestbedError(f"--methods: none of {', '.join(labels)} is in {where}; it has {known}")
    return replace(scenario, methods=kept, points=tuple(points))


def check_scenario(raw: Mapping[str, Any], where: str) -> Scenario:
    """Check a parsed scenario; `where` names its file. Raises TestbedError."""
    scenario = _check(raw, where, PromptReader(where))
    texts = sum(_texts(point.scenario) for point in scenario.every_point())
    if texts > MOST_GENERATIONS:
        raise TestbedError(
            f"{where}: it asks for {texts:,} texts, all points, methods, repetitions, devices and "
            f"prompts together; at most {MOST_GENERATIONS:,} are allowed"
        )
    return scenario


def _texts(scenario: Scenario) -> int:
    """Count the texts that are decoded at a point."""
    spec = scenario.spec
    runs = len(scenario.methods) * spec.repeat
    return runs * spec.devices * len(scenario.prompts)


def _check(raw: Mapping[str, Any], where: str, reader: PromptReader) -> Scenario:
    spec = convert(raw, ScenarioSpec, f"{where}: ")
    if not _NAME.fullmatch(spec.name):
        raise TestbedError(f"{where}: name: '{spec.name}' is not a name; {_NAMING}")
    topology = _load_topology(spec, where)
    hosts = [host for host in topology_hosts(topology) if host in VERIFIERS]
    if spec.verifier not in hosts:
        raise TestbedError(
            f"{where}: verifier: '{spec.verifier}' is no host of topology "
            f"{spec.topology} that can verify; choose from {', '.join(hosts)}"
        )
    _check_models(spec.models, where)
    try:
        timeout = parse_time(str(spec.timeout))
    except ValueError as error:
        raise TestbedError(f"{where}: timeout: {error}") from None
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise TestbedError(
            f"{where}: timeout: it is {spec.timeout}; it must be above 0 and at most "
            f"{format_time(LONGEST_TIMEOUT)}"
        )
    spec = _with_files_placed(spec, Path(where).parent)
    paths = list(topology_paths(topology))
    handovers = _check_handovers(spec, paths, where)
    held = held_links(handovers, paths[0]) if paths else {}
    links, schedules = _check_links(spec.links, topology_links(topology), held, where)
    entries = _check_methods(spec.methods, where)
    paces = _check_compute(spec.compute, f"{where}: compute")
    _check_dilation(spec.time_dilation, entries, paces, timeout, where)
    return Scenario(
        spec=spec,
        links=links,
        schedules=schedules,
        handovers=handovers,
        methods=entries,
        paces=paces,
        timeout=timeout,
        radios=paths,
        prompts=reader.read(spec.prompts, spec.seed),
        source=where,
        points=_check_points(raw, spec, where, reader),
    )


def _check_points(
    raw: Mapping[str, Any], spec: ScenarioSpec, where: str, reader: PromptReader
) -> tuple[Point, ...]:
    """The points of a sweep; two that are the same scenario would write into the same runs."""
    points: list[Point] = []
    seen: dict[bytes, Values] = {}  # by the hash of what they resolve to
    for values in read_points(spec.sweep, where):
        scenario = _check(at_point(raw, values, where), where, reader)
        mapping = msgspec.json.encode(scenario.to_mapping(), order="sorted")
        resolved = hashlib.sha256(mapping).digest()
        if resolved in seen:
            raise TestbedError(
                f"{where}: sweep: {point_text(values)} is the same scenario as "
                f"{point_text(seen[resolved])}; name each point once"
            )
        seen[resolved] = values
        points.append(Point(values, scenario))
    return tuple(points)


def _load_topology(spec: ScenarioSpec, where: str) -> Topo:
    key = "topology"
    try:
        load_topology(spec.topology)
        key = "devices"
        return load_topology(spec.topology, spec.devices)
    except TestbedError as error:
        raise TestbedError(f"{where}: {key}: {error}") from None


def _check_models(models: Models, where: str) -> None:
    given = [model is not None for model in (models.synthetic, models.target, models.draft)]
    if given not in ([True, False, False], [False, True, True]):
        raise TestbedError(f"{where}: models: give either target and draft, or synthetic")


def _costs(compute: str | Compute) -> dict[Role, Cost]:
    if not isinstance(compute, Compute):
        return {}
    roles: dict[Role, Cost | None] = {"draft": compute.draft, "target": compute.target}
    return {role: cost for role, cost in roles.items() if cost is not None}


def _check_compute(compute: str | Compute, where: str) -> dict[Role, Pace]:
    paces = {role: _read_cost(cost, f"{where}.{role}") for role, cost in _costs(compute).items()}
    if isinstance(compute, Compute) and not paces:
        raise TestbedError(f"{where}: it paces neither draft nor target; 'measured' says so")
    return paces


def _read_cost(cost: Cost, where: str) -> Pace:
    written = {"per_pass": cost.per_pass, "per_token": cost.per_token}
    if cost.profile is not None:
        profile = find_compute_profile(cost.profile, f"{where}.profile")
        written = {
            key: profile.figures()[key].text if text is None else text
            for key, text in written.items()
        }
    figures = {}
    for key, text in written.items():
        if text is None:
            raise TestbedError(f"{where}.{key}: this key is missing, and there is no profile")
        try:
            figures[key] = parse_time(text)
        except ValueError as error:
            raise TestbedError(f"{where}.{key}: {error}") from None
    if not any(figures.values()):
        raise TestbedError(f"{where}: a pass that takes no time is allowed to no model")
    return Pace(**figures)


def _check_dilation(
    factor: float,
    methods: Sequence[MethodEntry],
    paces: Mapping[Role, Pace],
    timeout: float,
    where: str,
) -> None:
    """Only what can be slowed down may be: a model takes its own time, unless it is paced."""
    place = f"{where}: time_dilation: it is {factor:g}"
    used: dict[Role, bool] = {
        "draft": any(method_class(entry.method).uses_draft for entry in methods),
        "target": any(entry.uses_verifier for entry in methods),
    }
    for role, needed in used.items():
        if factor > 1 and needed and role not in paces:
            raise TestbedError(
                f"{place}, but the {role} model takes its own time, which would count as that of "
                f"one {factor:g} times as fast; give it a pace, compute.{role}, or leave "
                "time_dilation at 1"
            )
    if factor * timeout > LONGEST_TIMEOUT:
        raise TestbedError(
            f"{place} and timeout {format_time(timeout)}; one times the other must be at most "
            f"{format_time(LONGEST_TIMEOUT)}"
        )


def _with_files_placed(spec: ScenarioSpec, folder: Path) -> ScenarioSpec:
    """The spec with each file where it is, seen from the scenario's folder."""

    def place(path: str) -> str:
        return str((folder / path).absolute())

    compute = msgspec.to_builtins(spec.compute)
    return msgspec.structs.replace(
        spec,
        links=place_files(spec.links, place),
        compute=msgspec.convert(place_profiles(compute, place), type=Literal["measured"] | Compute),
        models=_with_models_placed(spec.models, place),
    )


def _with_models_placed(models: Models, place: Callable[[str], str]) -> Models:
    def placed(model: str | RealModel | None) -> str | RealModel | None:
        if isinstance(model, RealModel):
            return msgspec.structs.replace(model, model=place_model(model.model, place))
        return model and place_model(model, place)

    return msgspec.structs.replace(models, target=placed(models.target), draft=placed(models.draft))


def _check_handovers(spec: ScenarioSpec, paths: list[str], where: str) -> list[Handover]:
    if spec.handovers and not paths:
        able = [name for name, kind in known_topologies().items() if topology_paths(kind())]
        raise TestbedError(
            f"{where}: handovers: topology {spec.topology} has one path only; "
            f"choose from {', '.join(able)}"
        )
    return read_handovers(spec.handovers, paths, f"{where}: handovers")


def _check_links(
    raw: dict[str, Any],
    declared: list[LinkDeclaration],
    held: Mapping[str, list[Interval]],
    where: str,
) -> tuple[dict[str, Duplex], dict[str, Schedule]]:
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
    """The spec with the link's own discipline, unless the scenario itself writes of the queue."""
    queue = as_queue(spec.queue)
    plain = queue.discipline == "drop_tail"
    if "queue" in written or not plain or link.discipline == "drop_tail":
        return spec
    disciplined = msgspec.structs.replace(queue, discipline=link.discipline)
    return msgspec.structs.replace(spec, queue=disciplined)


def _check_methods(raw: list[str | dict[str, Any]], where: str) -> list[MethodEntry]:
    if not raw:
        raise TestbedError(f"{where}: methods: at least one is needed (see `testbed methods`)")
    entries: list[MethodEntry] = []
    for i, item in enumerate(raw):
        place = f"{where}: methods[{i}]"
        options = {"method": item} if isinstance(item, str) else dict(item)
        if "method" not in options:
            raise TestbedError(f"{place}.method: this key is missing")
        name = convert(str(options.pop("method")), Name, f"{place}.method: ")
        label = convert(str(options.pop("label", name)), Name, f"{place}.label: ")
        kind = method_class(name, place)
        if not _NAME.fullmatch(label):
            raise TestbedError(f"{place}.label: '{label}' is not a label; {_NAMING}")
        if label in [entry.label for entry in entries]:
            raise TestbedError(f"{place}.label: '{label}' is taken; give each method its own label")
        filled: dict[str, Any] = msgspec.to_builtins(parse_options(kind, options, place))
        entries.append(MethodEntry(label, name, filled, kind.uses_verifier))
    return entries
