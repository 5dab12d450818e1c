"""One method's run on a deployment: from its beginning to its rows and its verdict."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from testbed import clock
from testbed.analysis.summary import summarise
from testbed.audit.captures import Captures, GenerationCounters, judge_captures
from testbed.audit.change_lateness import (
    judge_changes,
    judge_handovers,
    write_changes,
    write_handovers,
)
from testbed.audit.link_counters import judge_messages
from testbed.audit.packet_logs import judge_packets
from testbed.experiment.decode import Decoder, Generation
from testbed.experiment.deployment import Deployment
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import checked
from testbed.experiment.rounds import Captured, time_rounds
from testbed.links.unmet import unmet
from testbed.protocol.control import Begin, Ready
from testbed.results.rows import Row
from testbed.results.verdict import Verdict
from testbed.scenario.load import MethodEntry


@dataclass(frozen=True)
class RunOutcome:
    """What a run came to when it had ended."""

    rows: list[Row]
    verdict: Verdict
    """On the run, its generations apart."""
    seconds: float
    """What it took, in emulated time."""
    unmet: list[str]
    """What links were asked to do that it did not meet."""


class MethodRun:
    """All prompts by one method in one repetition; a context manager that begins the run.

    A run that is left before its end leaves no capture going.
    """

    def __init__(self, deployment: Deployment, entry: MethodEntry, repetition: int) -> None:
        self.entry, self.repetition = entry, repetition
        self._deployment = deployment
        self._folder: Path = deployment.results.run(entry.label, repetition, deployment.plan.point)
        self._decoder = Decoder(deployment, entry, repetition, self._folder)
        self._verdict = Verdict()
        self._counted: list[GenerationCounters] = []
        """Of each prompt, in their order."""
        self._decoded: list[tuple[Row, Generation]] = []
        self._stack = ExitStack()

    def __enter__(self) -> MethodRun:
        """Begin: a new connection, new event files, and the links as they were at first."""
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
            # From here on, so that each method meets the same link from its beginning on.
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
        """Decode one prompt on every device, all at the same time, and account for it.

        The rows are final when the run has ended, see `end`.
        """
        generations, again = self._decoder.decode(prompt, display)
        return self._rows(prompt, generations, again)

    def end(self) -> RunOutcome:
        """End the run: write down how the links and the path changed, and judge it.

        All that it wrote is whole then, and its rows know how long their rounds took, and for what.
        """
        scenario, network = self._deployment.scenario, self._deployment.network
        folder = self._folder
        ended = clock.now()
        seconds = ended - self._began
        began = {name: wire.began() for name, wire in network.wires.items()}
        not_met = unmet(
            scenario.links,
            scenario.schedules,
            scenario.handovers,
            seconds,
            {name: None if time is None else ended - time for name, time in began.items()},
        )
        for name, wire in network.wires.items():
            wire.check()  # it may have failed since the last text
            wire.end_logs()
            applied = wire.applied()
            if applied:
                write_changes(folder / f"changes.{name}.jsonl", applied)
            for reason in judge_changes(name, applied):
                self._verdict.add("suspect", f"{folder.name}: {reason}")
        network.handovers.end()
        made = list(zip(scenario.handovers, network.handovers.applied(), strict=False))
        if made:
            write_handovers(folder / "handovers.jsonl", made)
        for reason in judge_handovers([applied for _, applied in made]):
            self._verdict.add("suspect", f"{folder.name}: {reason}")
        for log in sorted(folder.glob("packets.*.jsonl.gz")):
            for reason in judge_packets(log):
                self._verdict.add("invalid", f"{folder.name}: {reason}")
        captured = self._captures.stop()
        if captured:
            self._judge_captures(captured)
        time_rounds(folder / "rounds.json", self._deployment, self._decoded, captured)
        rows = [row for row, _ in self._decoded]
        return RunOutcome(rows, self._verdict, seconds, not_met)

    def _judge_captures(self, captured: Captured) -> None:
        """Write down what all bytes were for, and compare with what links and nodes counted."""
        routes = self._deployment.routes
        firsts = {link for device in routes.own_links for link in routes.first_shaped(device)}
        entries = []
        for counted in self._counted:
            mine, reasons = judge_captures(captured, counted, firsts)
            entries += mine
            for reason in reasons:
                self._verdict.add(
                    "invalid", f"{self._folder.name} prompt {counted.prompt + 1}: {reason}"
                )
        (self._folder / "ledger.json").write_bytes(msgspec.json.encode(entries))

    def _rows(self, prompt: int, texts: list[Generation], again: int) -> list[Row]:
        """Return the rows of generations decoded together, which share the links' counters."""
        counters, routes = self._decoder.links, self._deployment.routes
        after = counters.read()
        links, plain = counters.totals(after), counters.plain_totals()
        each = [text.result for text in texts]
        messages = {
            "up": sum(result.up_bytes for result in each),
            "down": sum(result.down_bytes for result in each),
        }
        # Then bytes may have gone over two links, or twice over one.
        twice = self._deployment.scenario.handovers or any(result.resends for result in each)
        self._counted.append(
            GenerationCounters(prompt, counters.before, after, None if twice else messages)
        )
        shared = Verdict()
        counters.judge(shared)
        self._decoder.processors.judge(shared)
        rows = []
        for text in texts:
            name, own = text.device, routes.own_links[text.device]
            verdict = Verdict(shared.level, list(shared.reasons))
            alone = [name] if routes.plain else []
            judge_messages(text.result, text.answers, verdict, *alone)
            for reason in self._decoder.lateness(text):
                verdict.add("invalid", reason)
            self._write_text(prompt, text)
            row = summarise(
                label=self.entry.label,
                point=self._deployment.plan.point,
                repetition=self.repetition,
                prompt=prompt,
                name=name,
                result=text.result,
                device=text.events,
                verifier=text.answers,
                links={**{k: v for k, v in plain.items() if k in own}, **links},
                own_links=own,
                route=routes.route(name),
                time_dilation=clock.dilation(),
                again=again,
                verdict=verdict.level,
                reasons=verdict.reasons,
            )
            rows.append(row)
            self._decoded.append((row, text))
        return rows

    def _write_text(self, prompt: int, text: Generation) -> None:
        alone = len(self._deployment.routes.own_links) == 1
        name = "text.txt" if alone else f"text.{text.device}.txt"
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(
                f"--- prompt {prompt + 1}\n{self._deployment.scenario.prompts[prompt]}"
                f"\n--- {self.entry.label}\n{text.result.text}\n\n"
            )
