"""One method's run on a deployment: from its beginning to its rows and its verdict."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec

from testbed import clock
from testbed.analysis.summary import summarise
from testbed.audit.base import judge
from testbed.audit.capture_evidence import GenerationCounters, ledger
from testbed.audit.captures import Captures
from testbed.audit.evidence import GenerationEvidence, RunEvidence
from testbed.experiment.bench import RunOutcome
from testbed.experiment.decode import Decoder, Generation
from testbed.experiment.deployment import Deployment
from testbed.experiment.link_changes import end_handovers, end_links
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import checked
from testbed.experiment.rounds import time_rounds
from testbed.links.unmet import unmet
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
        self._decoded: list[tuple[Row, Generation]] = []
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
        not_met = self._unmet(ended)
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
        time_rounds(folder / "rounds.json", self._deployment, self._decoded, captured)
        rows = [row for row, _ in self._decoded]
        return RunOutcome(rows, verdict, ended - self._began, not_met)

    def _unmet(self, ended: float) -> list[str]:
        """Return the parts of schedules and traces that were not reached when the run `ended`."""
        scenario = self._deployment.scenario
        began = {name: wire.began() for name, wire in self._deployment.network.wires.items()}
        return unmet(
            scenario.links,
            scenario.schedules,
            scenario.handovers,
            ended - self._began,
            {name: None if time is None else ended - time for name, time in began.items()},
        )

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
            own = routes.own_links[each.device]
            verdict = judge(
                GenerationEvidence(
                    device=each.device,
                    alone=not routes.plain,
                    result=each.result,
                    answers=each.answers,
                    paced=self._decoder.paced(each),
                    links=packets,
                    cells=cells,
                    cpu=self._decoder.processors.use(),
                )
            )
            self._write_text(prompt, each)
            row = summarise(
                label=self.entry.label,
                point=self._deployment.plan.point,
                repetition=self.repetition,
                prompt=prompt,
                name=each.device,
                result=each.result,
                device=each.events,
                verifier=each.answers,
                links={**{k: v for k, v in plain.items() if k in own}, **links},
                own_links=own,
                route=routes.route(each.device),
                time_dilation=clock.dilation(),
                redecodes=redecodes,
                verdict=verdict.level,
                reasons=verdict.reasons,
            )
            rows.append(row)
            self._decoded.append((row, each))
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

    def _write_text(self, prompt: int, generation: Generation) -> None:
        alone = len(self._deployment.routes.own_links) == 1
        name = "text.txt" if alone else f"text.{generation.device}.txt"
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(
                f"--- prompt {prompt + 1}\n{self._deployment.scenario.prompts[prompt]}"
                f"\n--- {self.entry.label}\n{generation.result.text}\n\n"
            )
