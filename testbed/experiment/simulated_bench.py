"""The bench of simulated runs: network and nodes in virtual time, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from typing_extensions import override

from testbed.analysis.phases import MessageFlight, Recovery
from testbed.audit.base import judge
from testbed.audit.change_records import write_changes, write_handovers
from testbed.audit.evidence import GenerationEvidence, RunEvidence
from testbed.audit.link_packets import LinkPackets, SharedLinkPackets, traffic
from testbed.events import Event
from testbed.experiment.bench import Bench, RunOutcome
from testbed.experiment.generation import (
    Generation,
    decode_request,
    paced_nodes,
    prompt_tokens,
    stream_of,
)
from testbed.experiment.live_display import CountedLink, Display
from testbed.experiment.recorded_costs import read_costs
from testbed.experiment.routes import Routes
from testbed.experiment.run_record import RunRecord
from testbed.host.machine_errors import naming
from testbed.models.load import load_pair
from testbed.pcap.loss_recovery import within
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.results.rows import Row
from testbed.results.verdict import Verdict
from testbed.scenario.methods import MethodEntry
from testbed.scenario.run_order import RunId
from testbed.scenario.scenario import Scenario
from testbed.simulation.contract import DecodedPrompt, Recoveries, RunEnd, Simulation
from testbed.simulation.overhead import OVERHEAD
from testbed.simulation.point_simulation import PointSettings, PointSimulation
from testbed.topology.declarations import load_topology


def open_simulation(scenario: Scenario, plan: Plan, results: Results) -> Simulation:
    """Return the simulation of one point, with its models loaded."""
    spec, routes, costs = scenario.spec, Routes(scenario), read_costs(results)
    draft, target = load_pair(plan.draft, plan.target)
    settings = PointSettings(
        topology=load_topology(spec.topology, spec.devices),
        links=scenario.links,
        schedules=scenario.schedules,
        handovers=scenario.handovers,
        seed=spec.seed,
        verifier=spec.verifier,
        devices={
            device: f"{spec.verifier} over link {' or '.join(routes.first_shaped(device))}"
            for device in routes.own_links
        },
        draft=draft,
        target=target,
        paces=scenario.paces,
        congestion_control=spec.tcp.congestion_control,
        timeout=scenario.timeout,
        overhead=OVERHEAD,
    )
    found = {entry.label: costs.find(scenario, plan, entry) for entry in scenario.methods}
    return PointSimulation(settings, found, costs.source)


class SimulatedBench(Bench):
    """A simulation, and the runs on it.

    Nothing is measured beforehand: its links do what the scenario asks, by construction.
    """

    def __init__(self, scenario: Scenario, plan: Plan, results: Results) -> None:
        self._scenario, self._plan, self._results = scenario, plan, results
        self._routes = Routes(scenario)
        self.before = Verdict()

    @override
    def __enter__(self) -> SimulatedBench:
        self._simulation = open_simulation(self._scenario, self._plan, self._results)
        return self

    @override
    def __exit__(self, *error: object) -> None: ...

    @property
    @override
    def beginning(self) -> str:
        return "loading the models, for virtual time"

    @property
    @override
    def links(self) -> Mapping[str, CountedLink]:
        return {}  # a run takes too little time to watch its links

    @override
    def state(self) -> dict[str, Any]:
        return self._simulation.state()

    @override
    def run(self, turn: RunId, display: Display) -> RunOutcome:
        scenario, entry = self._scenario, self._scenario.entry(turn.method)
        folder = self._results.run(entry.label, turn.repeat, self._plan.point)
        record = RunRecord(
            scenario=scenario,
            plan=self._plan,
            routes=self._routes,
            entry=entry,
            repetition=turn.repeat,
            folder=folder,
        )
        running = self._simulation.begin(
            entry.label, turn.repeat, uses_verifier=entry.uses_verifier
        )
        tokens = scenario.spec.decoding.max_new_tokens * scenario.spec.devices
        for prompt in range(len(scenario.prompts)):
            display.start(entry.label, prompt, len(scenario.prompts), tokens)
            decoded = running.decode(
                self._requests(entry, turn.repeat, prompt),
                prompt_tokens(self._plan, prompt),
                display.update,
            )
            _write_events(folder, decoded.events)
            display.finish(self._rows(prompt, decoded, record))
        return self._outcome(folder, running.end(), record)

    def _requests(self, entry: MethodEntry, repetition: int, prompt: int) -> dict[str, Any]:
        return {
            device: decode_request(
                self._scenario, self._plan, entry, repetition, stream_of(device, prompt)
            )
            for device in self._routes.own_links
        }

    def _rows(self, prompt: int, decoded: DecodedPrompt, record: RunRecord) -> list[Row]:
        """Return the rows of generations decoded together, which share the links' counters."""
        before, after = decoded.before.wires, decoded.after.wires
        carried = {name: traffic(before[name], after[name]) for name in after}
        shaped = {link.name: carried[link.name] for link in self._routes.links}
        plain = {link.name: carried[link.name] for link in self._routes.plain}
        rows = []
        for generation in self._generations(prompt, decoded):
            verdict = judge(
                GenerationEvidence(
                    device=generation.device,
                    alone=not self._routes.plain,
                    result=generation.result,
                    answers=generation.answers,
                    paced=paced_nodes(self._scenario, generation),
                    links=self._packets(decoded),
                    cells=self._cells(decoded),
                    cpu=None,
                ),
                simulated=True,
            )
            rows.append(record.add(prompt, generation, links=shaped, plain=plain, verdict=verdict))
        return rows

    def _generations(self, prompt: int, decoded: DecodedPrompt) -> list[Generation]:
        def events(node: str, stream: str) -> list[Event]:
            return [each for each in decoded.events.get(node, ()) if each["stream"] == stream]

        found = []
        for device in self._routes.own_links:
            stream = stream_of(device, prompt)
            answers = events(self._scenario.spec.verifier, stream)
            result = decoded.results[device]
            found.append(Generation(device, result, events(device, stream), answers))
        return found

    def _packets(self, decoded: DecodedPrompt) -> list[LinkPackets]:
        """Count the packets of each shaped link since it was built, at the link and its hosts."""
        return [
            LinkPackets(
                link.name,
                decoded.after.wires[link.name],
                decoded.after.ends[link.name].sent,
                decoded.after.ends[link.name].arrived,
            )
            for link in self._routes.links
        ]

    def _cells(self, decoded: DecodedPrompt) -> list[SharedLinkPackets]:
        """Count the packets of a prompt at each host where plain links meet a shaped one."""
        found = []
        for link in self._routes.links:
            mine = [each.name for each in self._routes.plain if each.node2 == link.node1]
            if not mine:
                continue
            shared, before = decoded.after.wires[link.name], decoded.before.wires[link.name]
            ends = [(decoded.before.ends[name], decoded.after.ends[name]) for name in mine]
            found.append(
                SharedLinkPackets(
                    link.node1,
                    link.name,
                    sum(after.sent[0] - earlier.sent[0] for earlier, after in ends),
                    shared.up.received_packets - before.up.received_packets,
                    shared.down.forwarded_packets - before.down.forwarded_packets,
                    sum(after.arrived[1] - earlier.arrived[1] for earlier, after in ends),
                )
            )
        return found

    def _outcome(self, folder: Path, end: RunEnd, record: RunRecord) -> RunOutcome:
        """Write the changes of links and path, and judge the run."""
        for name, applied in end.changes.items():
            if applied:
                write_changes(folder / f"changes.{name}.jsonl", applied)
        made = list(zip(self._scenario.handovers, end.handovers, strict=False))
        if made:
            write_handovers(folder / "handovers.jsonl", made)
        verdict = judge(
            RunEvidence(
                folder=folder.name,
                packet_logs=[],
                changes=end.changes,
                handovers=end.handovers,
                captured={},
                counted=[],
                ledger=[],
                first_links=self._routes.first_links(),
            ),
            simulated=True,
        )
        not_met = record.unmet(end.seconds, end.begun)
        return RunOutcome(record.finish(self._recoveries(end)), verdict, end.seconds, not_met)

    def _recoveries(self, end: RunEnd) -> dict[str, Recovery]:
        """Return, by device, the function from a flight to the seconds its bytes were sent again.

        A device is left out where the links change, so that flights cannot be derived.
        """

        def recovery(spans: Recoveries, flight: MessageFlight) -> float:
            return within(spans[flight.direction], flight.sent, flight.received)

        return {
            device: partial(recovery, spans)
            for device, spans in end.recoveries.items()
            if self._routes.route(device) is not None
        }


def _write_events(folder: Path, events: Mapping[str, Sequence[Event]]) -> None:
    """Append the events of each node to its file, as nodes write them (testbed.events)."""
    for node, mine in events.items():
        path = folder / f"{node}.jsonl"
        with naming(path), path.open("ab") as file:
            file.write(msgspec.json.Encoder().encode_lines(mine))
