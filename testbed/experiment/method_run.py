"""One method's run on a deployment: from its beginning to its rows and its verdict."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec

from testbed import clock
from testbed.audit.base import judge
from testbed.audit.capture_evidence import GenerationCounters, ledger
from testbed.audit.captures import Captures
from testbed.audit.evidence import GenerationEvidence, RunEvidence
from testbed.experiment.bench import RunOutcome
from testbed.experiment.decode import Decoder
from testbed.experiment.deployment import Deployment
from testbed.experiment.generation import Generation, paced_nodes
from testbed.experiment.link_changes import end_handovers, end_links
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import checked
from testbed.experiment.recoveries import captured_recoveries
from testbed.experiment.run_record import RunRecord
from testbed.protocol.control import Begin, Ready
from testbed.results.rows import Row
from testbed.scenario.methods import MethodEntry


class MethodRun:
    """All prompts by one method in one repetition; a context manager that begins the run.

    Leaving the context early stops its captures.
    """

    def __init__(self, deployment: Deployment, entry: MethodEntry, repetition: int) -> None:
        self.entry, self.repetition = entry, repetition
        self._deployment = deployment
        self._folder: Path = deployment.results.run(entry.label, repetition, deployment.plan.point)
        self._decoder = Decoder(deployment, entry, repetition, self._folder)
        self._counted: list[GenerationCounters] = []
        """The counters around each prompt: one entry per prompt, in order."""
        self._record = RunRecord(
            scenario=deployment.scenario,
            plan=deployment.plan,
            routes=deployment.routes,
            entry=entry,
            repetition=repetition,
            folder=self._folder,
        )
        self._stack = ExitStack()

    def __enter__(self) -> MethodRun:
        """Begin: reconnect the nodes, open new event files, and reset the links."""
        network, nodes = self._deployment.network, self._deployment.nodes
        network.handovers.reset()
        # Nodes connect over links as they are at first, not as probes or the last run left them.
        for wire in network.wires.values():
            wire.begin(clock.now())
        links = list(network.wires) if self._deployment.plan.capture else []
        with ExitStack() as stack:
            self._captures = Captures(network, links, self._folder)
            stack.callback(self._captures.kill)
            for name, node in nodes.items():
                node.send(Begin(str(self._folder / f"{name}.jsonl"), self.entry.uses_verifier))
                checked(*self._deployment.report([node]), Ready)
            self._decoder.links.settle()
            # Restart links here, so that each method meets the same link from its beginning on.
            for wire in network.wires.values():
                wire.restart(self.repetition, self._folder)
            self._began = clock.now()
            for wire in network.wires.values():
                wire.begin(self._began)
            network.handovers.begin(self._began)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def decode(self, prompt: int, display: Display) -> list[Row]:
        """Decode one prompt on all devices at the same time; return a row for each.

        The rows are final once `end` has returned.
        """
        generations, redecodes = self._decoder.decode(prompt, display)
        return self._rows(prompt, generations, redecodes)

    def end(self) -> RunOutcome:
        """End the run: write the changes of links and path, and judge it.

        Afterwards all its files are complete, and its rows have the durations and phases of their
        rounds.
        """
        ended, folder = clock.now(), self._folder
        seconds = ended - self._began
        wires = self._deployment.network.wires
        begun = {name: _since(wire.began(), ended) for name, wire in wires.items()}
        not_met = self._record.unmet(seconds, begun)
        changes = end_links(self._deployment.network, folder)
        handovers = end_handovers(
            self._deployment.network, self._deployment.scenario.handovers, folder
        )
        captured = self._captures.stop()
        entries = ledger(captured, self._counted)
        if captured:
            (folder / "ledger.json").write_bytes(msgspec.json.encode(entries))
        verdict = judge(
            RunEvidence(
                folder=folder.name,
                packet_logs=sorted(folder.glob("packets.*.jsonl.gz")),
                changes=changes,
                handovers=handovers,
                captured=captured,
                counted=self._counted,
                ledger=entries,
                first_links=self._deployment.routes.first_links(),
            )
        )
        recoveries = captured_recoveries(
            self._deployment.routes, self._deployment.network, captured
        )
        return RunOutcome(self._record.finish(recoveries), verdict, seconds, not_met)

    def _rows(self, prompt: int, generations: list[Generation], redecodes: int) -> list[Row]:
        """Return the rows of generations decoded together, which share the links' counters."""
        counters, routes = self._decoder.links, self._deployment.routes
        after = counters.read()
        links, plain = counters.totals(after), counters.plain_totals()
        messages = self._messages(generations)
        self._counted.append(GenerationCounters(prompt, counters.before, after, messages))
        packets, cells = counters.packets(), counters.cells()
        rows = []
        for each in generations:
            verdict = judge(
                GenerationEvidence(
                    device=each.device,
                    alone=not routes.plain,
                    result=each.result,
                    answers=each.answers,
                    paced=paced_nodes(self._deployment.scenario, each),
                    links=packets,
                    cells=cells,
                    cpu=self._decoder.processors.use(),
                )
            )
            row = self._record.add(
                prompt, each, links=links, plain=plain, verdict=verdict, redecodes=redecodes
            )
            rows.append(row)
        return rows

    def _messages(self, generations: list[Generation]) -> dict[str, int] | None:
        """Return the bytes of all messages, by direction.

        None where bytes may have gone over two links, or twice over one.
        """
        traffic = [each.result.traffic for each in generations]
        if self._deployment.scenario.handovers or any(each.resends for each in traffic):
            return None
        return {
            "up": sum(each.up_bytes for each in traffic),
            "down": sum(each.down_bytes for each in traffic),
        }


def _since(time: float | None, ended: float) -> float | None:
    return None if time is None else ended - time
