"""Loading of scenarios, checked as a whole before anything starts.

An error names the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.bounds import LARGEST_SCENARIO, MOST_GENERATIONS
from testbed.config.convert import convert
from testbed.config.yaml_loader import apply_change, parse_yaml
from testbed.errors import TestbedError
from testbed.files.input_file import read_text
from testbed.links.handovers import held_links
from testbed.links.units import format_time, parse_time
from testbed.models.served.address import require_address
from testbed.prompts.reader import PromptReader
from testbed.protocol.channel import LONGEST_TIMEOUT
from testbed.scenario.compute import check_compute, check_dilation
from testbed.scenario.file_paths import with_files_placed
from testbed.scenario.links import check_handovers, check_links
from testbed.scenario.methods import check_methods
from testbed.scenario.names import NAME, NAMING_RULE
from testbed.scenario.scenario import Point, Scenario
from testbed.scenario.schema import Models, ScenarioSpec, TargetModel
from testbed.scenario.sweep import (
    Values,
    at_point,
    point_text,
    read_points,
    swept_keys,
)
from testbed.topology.declarations import (
    load_topology,
    topology_hosts,
    topology_links,
    topology_paths,
)

if TYPE_CHECKING:
    from mininet.topo import Topo

VERIFIERS = ("base_station", "cloud")


def load_scenario(
    path: Path, changes: Sequence[str] = (), methods: Sequence[str] | None = None
) -> Scenario:
    """Read and check a scenario file.

    changes: texts KEY.KEY=VALUE that replace values before the check, as `--set` gives them.
    methods: labels of the methods to keep; None keeps all.

    Raises TestbedError for a file that cannot be read, and for a mistake in it or in the arguments.
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
    """Return the scenario with only the methods of these labels, at each of its points.

    Raises TestbedError for a point at which none of them is left.
    """
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
    """Check a parsed scenario; `where` names its file. Raises TestbedError for any mistake."""
    scenario = _check(raw, where, PromptReader(where))
    generations = sum(_generations(point.scenario) for point in scenario.every_point())
    if generations > MOST_GENERATIONS:
        raise TestbedError(
            f"{where}: it has {generations:,} generations, all points, methods, repetitions, "
            f"devices and prompts together; at most {MOST_GENERATIONS:,} are allowed"
        )
    return scenario


def _generations(scenario: Scenario) -> int:
    """Count the generations of a scenario at one point."""
    spec = scenario.spec
    runs = len(scenario.methods) * spec.repeat
    return runs * spec.devices * len(scenario.prompts)


def _check(raw: Mapping[str, Any], where: str, reader: PromptReader) -> Scenario:
    spec = convert(raw, ScenarioSpec, f"{where}: ")
    if not NAME.fullmatch(spec.name):
        raise TestbedError(f"{where}: name: '{spec.name}' is not a name; {NAMING_RULE}")
    topology = _load_topology(spec, where)
    hosts = [host for host in topology_hosts(topology) if host in VERIFIERS]
    if spec.verifier not in hosts:
        raise TestbedError(
            f"{where}: verifier: '{spec.verifier}' is not a host of topology "
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
    spec = with_files_placed(spec, Path(where).parent)
    paths = list(topology_paths(topology))
    handovers = check_handovers(spec, paths, where)
    held = held_links(handovers, paths[0]) if paths else {}
    links, schedules = check_links(spec.links, topology_links(topology), held, where)
    entries = check_methods(spec.methods, where)
    paces = check_compute(spec.compute, f"{where}: compute")
    check_dilation(spec.time_dilation, entries, paces, timeout, where)
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
    """Return the points of a sweep.

    Raises TestbedError for two that are the same scenario, which would write into the same runs.
    """
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
    target = models.target
    if not isinstance(target, TargetModel) or target.served is None:
        return
    try:
        require_address(target.served)
    except TestbedError as error:
        raise TestbedError(f"{where}: models.target.served: {error}") from None
    if target != TargetModel(model=target.model, served=target.served):
        raise TestbedError(
            f"{where}: models.target: the server decides how it runs the model; give no keys but "
            "served and model"
        )
