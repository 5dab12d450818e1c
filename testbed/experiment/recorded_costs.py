"""inputs/costs.json: the time of nodes' own work, recorded once before simulated runs.

Each distinct pair of models, method, options and sampling is recorded by testbed.simulation.costs.
All workers, and those that resume, charge the same costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from testbed.decoding.sampling import Sampling
from testbed.errors import TestbedError
from testbed.experiment.generation import decode_request, prompt_tokens
from testbed.files.stored_json import read
from testbed.host.environment import processor
from testbed.models.load import load_pair
from testbed.models.spec import ModelSpec
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.scenario.methods import MethodEntry
from testbed.scenario.scenario import Scenario
from testbed.simulation.costs import Costs, record

_PATH = Path("inputs/costs.json")


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The costs of one method with its options, on one pair of models."""

    target: ModelSpec
    draft: ModelSpec
    method: str
    options: dict[str, Any]
    sampling: Sampling
    device: Costs = {}
    verifier: Costs = {}

    def same(self, other: Recorded) -> bool:
        """Return True if both are of the same pair, method, options and sampling."""
        return _key(self) == _key(other)


class RecordedCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All costs of the simulated runs of a scenario."""

    source: str
    """The processor that they were recorded on, and when."""
    entries: list[Recorded]

    def find(self, scenario: Scenario, plan: Plan, entry: MethodEntry) -> Mapping[str, Costs]:
        """Return the costs of `device` and `verifier`. Raises TestbedError if there are none."""
        wanted = _wanted(scenario, plan, entry)
        for each in self.entries:
            if each.same(wanted):
                return {"device": each.device, "verifier": each.verifier}
        raise TestbedError(f"{_PATH}: {entry.label} is not in it; start the run anew")


def record_costs(results: Results, points: Iterable[tuple[Scenario, Plan]]) -> None:
    """Record the costs of all points' methods, and write them."""
    entries: list[Recorded] = []
    for scenario, plan in points:
        for entry in scenario.methods:
            wanted = _wanted(scenario, plan, entry)
            if any(each.same(wanted) for each in entries):
                continue
            request = decode_request(scenario, plan, entry, 0, "costs")
            pair = load_pair(plan.draft, plan.target)
            costs = record(request, prompt_tokens(plan, 0), *pair)
            entries.append(msgspec.structs.replace(wanted, **costs))
    now = datetime.now(timezone.utc).isoformat(timespec="minutes")
    found = RecordedCosts(f"recorded on {processor()}, {now}", entries)
    (results.path / _PATH).parent.mkdir(exist_ok=True)
    results.write_json(str(_PATH), found)


def read_costs(results: Results) -> RecordedCosts:
    """Return the recorded costs; raise TestbedError if they are missing or damaged."""
    try:
        return read(results.path / _PATH, RecordedCosts)
    except TestbedError as error:
        raise TestbedError(f"{error}; without it the run cannot go on: start it anew") from None


def _wanted(scenario: Scenario, plan: Plan, entry: MethodEntry) -> Recorded:
    sampling = scenario.spec.decoding.sampling
    return Recorded(plan.target, plan.draft, entry.method, entry.options, sampling)


def _key(entry: Recorded) -> bytes:
    parts = [entry.target, entry.draft, entry.method, entry.options, entry.sampling]
    return msgspec.json.encode(parts, order="sorted")
