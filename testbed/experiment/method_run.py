"""One network with its nodes, and the runs of every method on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from testbed import clock
from testbed.analysis.phases import MessageFlight, Recovery, TextTimes, round_times
from testbed.analysis.summary import summarise
from testbed.audit.captures import CapturedDirection, Captures, GenerationCounters, judge_captures
from testbed.audit.change_lateness import (
    judge_changes,
    judge_handovers,
    write_changes,
    write_handovers,
)
from testbed.audit.cpu_contention import Processors
from testbed.audit.link_counters import LinkAudit, judge_messages
from testbed.audit.pacing import lateness
from testbed.audit.packet_logs import judge_packets
from testbed.calibration.preflight import check_links, severity, why
from testbed.emulation.network import Network
from testbed.emulation.topology import load_topology
from testbed.events import Event, events_by_stream
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import NodeProcess, checked, receive_any
from testbed.experiment.routes import Routes
from testbed.links.unmet import unmet
from testbed.models.spec import HuggingFaceSpec, ModelSpec, Role
from testbed.pcap.loss_recovery import RetransmissionGaps
from testbed.protocol.control import Begin, Decode, NodeReport, Progress, Ready, Result
from testbed.protocol.messages import PORT
from testbed.protocol.request import DecodeRequest
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.results.rows import Row
from testbed.results.verdict import Verdict
from testbed.scenario.load import MethodEntry, Scenario

_LOADING = 300.0  # seconds a node may take to load its model, beside reading it
_SLOW_DISK = 2e7  # bytes/s
_AGAIN = 2  # times that a text is decoded anew because its passes were late


def network_of(scenario: Scenario, backend: str) -> Network:
    """The network that a scenario asks for, not yet built."""
    return Network(
        load_topology(scenario.document.topology, scenario.document.devices),
        scenario.links,
        backend,
        scenario.document.seed,
        schedules=scenario.schedules,
        handovers=scenario.handovers,
    )


@dataclass(frozen=True)
class Generation:
    """One text that a device decoded, and what both nodes wrote of it."""

    device: str
    result: Result
    events: list[Event]
    """The device's."""
    answers: list[Event]
    """The verifier's."""


class Experiment:
    """A running network with its nodes; a context manager.

    While it runs, this process keeps the clock of the scenario, see testbed.clock.
    """

    def __init__(self, scenario: Scenario, plan: Plan, results: Results) -> None:
        self._point = plan.point
        self._scenario = scenario
        self._plan = plan
        self._results = results
        self.before = Verdict()
        """On the links, as they were measured."""
        self.verdict = Verdict()
        """On the run that has ended last, its texts apart."""
        self.seconds = 0.0
        """What that run took."""
        self.unmet: list[str] = []
        """What links were asked to do that it did not meet."""
        self._began = 0.0
        self._stack = ExitStack()
        self._routes = Routes(scenario)
        self.network = network_of(scenario, plan.backend)
        self._nodes: dict[str, NodeProcess] = {}
        self._too_slow = False
        self._captures: Captures | None = None
        self._counted: list[GenerationCounters] = []
        """Of each text of a run, in their order."""
        self._decoded: list[tuple[Row, Generation]] = []
        """All texts of a run."""

    def __enter__(self) -> Experiment:
        with ExitStack() as stack:
            stack.callback(clock.set_dilation, 1.0)
            clock.set_dilation(self._scenario.document.time_dilation)
            stack.enter_context(self.network)
            # While nothing else uses the processors.
            self.before.links = check_links(self.network)
            for check in self.before.links:
                if severity(check) != "valid":
                    self.before.add(severity(check), why(check))
            self._accountant = LinkAudit(self.network, self._routes.links, self._routes.plain)
            self._start_nodes(stack)
            self._processors = Processors({n: node.pid for n, node in self._nodes.items()})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if self._captures is not None:
            self._captures.kill()
        self._stack.close()

    def begin(self, entry: MethodEntry, repetition: int) -> None:
        """Start a run: a new connection, new event files, and the links as they were at first."""
        directory = self._results.run(entry.label, repetition, self._point)
        self.network.handovers.reset()
        # Nodes connect over links as they are at first, not as probes or the last run left them.
        for wire in self.network.wires.values():
            wire.begin(clock.now())
        self.verdict = Verdict()
        self._counted.clear()
        self._decoded.clear()
        links = list(self.network.wires) if self._plan.capture else []
        self._captures = Captures(self.network, links, directory)
        for name, node in self._nodes.items():
            node.send(Begin(str(directory / f"{name}.jsonl"), entry.uses_verifier))
            checked(*self._report(node), Ready)
        self._accountant.settle()
        # From here on, so that each method meets the same link from its beginning on.
        for wire in self.network.wires.values():
            wire.restart(repetition, directory)
        self._began = clock.now()
        for wire in self.network.wires.values():
            wire.begin(self._began)
        self.network.handovers.begin(self._began)

    def end(self, entry: MethodEntry, repetition: int) -> list[Row]:
        """End a run: write down how the links and the path changed, and judge it; all its rows.

        All that it wrote is whole then, and its rows know how long their rounds took, and for what.
        """
        directory = self._results.run(entry.label, repetition, self._point)
        scenario = self._scenario
        ended = clock.now()
        self.seconds = ended - self._began
        began = {name: wire.began() for name, wire in self.network.wires.items()}
        self.unmet = unmet(
            scenario.links,
            scenario.schedules,
            scenario.handovers,
            self.seconds,
            {name: None if time is None else ended - time for name, time in began.items()},
        )
        for name, wire in self.network.wires.items():
            wire.check()  # it may have failed since the last text
            wire.end_logs()
            applied = wire.applied()
            if applied:
                write_changes(directory / f"changes.{name}.jsonl", applied)
            for reason in judge_changes(name, applied):
                self.verdict.add("suspect", f"{directory.name}: {reason}")
        self.network.handovers.end()
        made = list(zip(self._scenario.handovers, self.network.handovers.applied(), strict=False))
        if made:
            write_handovers(directory / "handovers.jsonl", made)
        for reason in judge_handovers([applied for _, applied in made]):
            self.verdict.add("suspect", f"{directory.name}: {reason}")
        for log in sorted(directory.glob("packets.*.jsonl.gz")):
            for reason in judge_packets(log):
                self.verdict.add("invalid", f"{directory.name}: {reason}")
        assert self._captures is not None
        seen, self._captures = self._captures.stop(), None
        if seen:
            self._judge_captures(directory, seen)
        self._time_rounds(directory, seen)
        return [row for row, _ in self._decoded]

    def _time_rounds(
        self, directory: Path, seen: Mapping[str, Mapping[str, CapturedDirection]]
    ) -> None:
        """Write down how long rounds took, and for what."""
        recoveries = {device: self._recovery(device, seen) for device in self._routes.own_links}
        texts = []
        for row, text in self._decoded:
            rounds = round_times(
                text.events,
                text.answers,
                round(text.result.start * 1e9),
                self._routes.route(row.device),
                recoveries[row.device],
            )
            times = TextTimes(prompt=row.prompt, device=row.device, rounds=rounds)
            row.round_s = [round(each.seconds, 6) for each in rounds]
            row.phases = times.total()
            texts.append(times)
        (directory / "rounds.json").write_bytes(msgspec.json.encode(texts))

    def _recovery(
        self, device: str, seen: Mapping[str, Mapping[str, CapturedDirection]]
    ) -> Recovery | None:
        """How long what was lost was being sent again; None where nobody asks or captured it."""
        names, address = self._routes.shaped(device), self.network.address(device)
        if self._routes.route(device) is None or not names:
            return None
        if any(name not in seen for name in names):
            return None
        first, last = seen[names[0]], seen[names[-1]]
        directions = {
            "up": RetransmissionGaps(first["up"].book, last["up"].arrived, address),
            "down": RetransmissionGaps(last["down"].book, first["down"].arrived, address),
        }

        def recovery(flight: MessageFlight) -> float:
            return directions[flight.direction].within(flight.sent, flight.received)

        return recovery

    def _judge_captures(
        self, directory: Path, seen: Mapping[str, Mapping[str, CapturedDirection]]
    ) -> None:
        """Write down what all bytes were for, and compare with what links and nodes counted."""
        routes = self._routes
        firsts = {link for device in routes.own_links for link in routes.first_shaped(device)}
        entries = []
        for counted in self._counted:
            mine, reasons = judge_captures(seen, counted, firsts)
            entries += mine
            for reason in reasons:
                self.verdict.add(
                    "invalid", f"{directory.name} prompt {counted.prompt + 1}: {reason}"
                )
        (directory / "ledger.json").write_bytes(msgspec.json.encode(entries))

    def decode(
        self, entry: MethodEntry, repetition: int, prompt: int, display: Display
    ) -> list[Row]:
        """Decode one text on every device, all at the same time, and account for it.

        The rows are final when the run has ended, see `end`.

        Anything else that runs on this machine can make single passes late. Then all is done once
        more, and only the last time counts; its rows tell how often. Once that has not helped, the
        machine is too slow, and texts are decoded once.
        """
        for again in range(_AGAIN + 1):
            began = clock.now_ns()
            results = self._decode(entry, repetition, prompt, display)
            texts = self._texts(entry, repetition, prompt, results, since=began)
            late = [reason for text in texts for reason in self._lateness(text)]
            if not late or self._too_slow:
                break
            if again < _AGAIN:
                display.say(f"{entry.label} prompt {prompt + 1} once more: {late[0]}")
        self._too_slow = bool(late)
        return self._rows(entry, repetition, prompt, texts, again)

    def _decode(
        self, entry: MethodEntry, repetition: int, prompt: int, display: Display
    ) -> dict[str, Result]:
        """Decode one text on every device; what each made of it."""
        self._accountant.start()
        self._processors.start()
        tokens = [int(token) for token in self._plan.prompts[prompt].split()]
        for name in self._routes.own_links:
            task = self._task(entry, repetition, f"{name}/{prompt}")
            self._nodes[name].send(Decode(task, tokens))
        busy = {name: self._nodes[name] for name in self._routes.own_links}
        results: dict[str, Result] = {}
        certain = 0
        while busy:
            node, report = self._report(*busy.values())
            if isinstance(report, Progress):
                certain += report.tokens
                display.update(certain, report.seconds)
            else:
                results[node.name] = checked(node, report, Result)
                del busy[node.name]
        self._processors.stop()
        self._accountant.settle()
        return results

    def _texts(
        self,
        entry: MethodEntry,
        repetition: int,
        prompt: int,
        results: dict[str, Result],
        *,
        since: int,
    ) -> list[Generation]:
        """The texts of all devices, by what was written from `since` on, ns of testbed.clock."""
        directory = self._results.run(entry.label, repetition, self._point)
        answers = _events(directory, self._scenario.document.verifier, since)
        texts = []
        for name in self._routes.own_links:
            stream = f"{name}/{prompt}"
            mine = _events(directory, name, since).get(stream, [])
            texts.append(Generation(name, results[name], mine, answers.get(stream, [])))
        return texts

    def _lateness(self, text: Generation) -> list[str]:
        """Why a text is invalid, by how long passes took."""
        nodes: dict[Role, tuple[str, list[Event]]] = {
            "draft": (text.device, text.events),
            "target": (self._scenario.document.verifier, text.answers),
        }
        each = (lateness(*nodes[role], pace) for role, pace in self._scenario.paces.items())
        return [reason for reason in each if reason]

    def _task(self, entry: MethodEntry, repetition: int, stream: str) -> DecodeRequest:
        document = self._scenario.document
        return DecodeRequest(
            method=entry.method,
            options=entry.options,
            sampling=document.decoding.sampling,
            seed=document.seed,
            repetition=repetition,
            stream=stream,
            max_new_tokens=document.decoding.max_new_tokens,
            end_tokens=tuple(self._plan.end_tokens),
        )

    def _rows(
        self, entry: MethodEntry, repetition: int, prompt: int, texts: list[Generation], again: int
    ) -> list[Row]:
        """The rows of texts decoded together, which share the links and their books."""
        after = self._accountant.read()
        links, plain = self._accountant.totals(after), self._accountant.plain_totals()
        each = [text.result for text in texts]
        messages = {
            "up": sum(result.up_bytes for result in each),
            "down": sum(result.down_bytes for result in each),
        }
        # Then bytes may have gone over two links, or twice over one.
        twice = self._scenario.handovers or any(result.resends for result in each)
        self._counted.append(
            GenerationCounters(prompt, self._accountant.before, after, None if twice else messages)
        )
        shared = Verdict()
        self._accountant.judge(shared)
        self._processors.judge(shared)
        rows = []
        for text in texts:
            name, own = text.device, self._routes.own_links[text.device]
            verdict = Verdict(shared.level, list(shared.reasons))
            alone = [] if not self._routes.plain else [name]
            judge_messages(text.result, text.answers, verdict, *alone)
            for reason in self._lateness(text):
                verdict.add("invalid", reason)
            self._write_text(entry, repetition, prompt, text)
            row = summarise(
                label=entry.label,
                point=self._point,
                repetition=repetition,
                prompt=prompt,
                name=name,
                result=text.result,
                device=text.events,
                verifier=text.answers,
                links={**{k: v for k, v in plain.items() if k in own}, **links},
                own_links=own,
                route=self._routes.route(name),
                time_dilation=clock.dilation(),
                again=again,
                verdict=verdict.level,
                reasons=verdict.reasons,
            )
            rows.append(row)
            self._decoded.append((row, text))
        return rows

    def _write_text(
        self, entry: MethodEntry, repetition: int, prompt: int, text: Generation
    ) -> None:
        name = "text.txt" if len(self._routes.own_links) == 1 else f"text.{text.device}.txt"
        directory = self._results.run(entry.label, repetition, self._point)
        with (directory / name).open("a", encoding="utf-8") as file:
            file.write(
                f"--- prompt {prompt + 1}\n{self._scenario.prompts[prompt]}"
                f"\n--- {entry.label}\n{text.result.text}\n\n"
            )

    def _start_nodes(self, stack: ExitStack) -> None:
        verifier = self._scenario.document.verifier
        common = [f"--timeout={self._scenario.timeout}", f"--time-dilation={clock.dilation()}"]
        uses_verifier = any(entry.uses_verifier for entry in self._scenario.methods)
        for device in self._routes.own_links:
            arguments = [f"--name={device}", *self._model("draft"), *common]
            if uses_verifier:
                address = self.network.address(verifier, device)
                arguments += [
                    f"--connect=tcp://{address}:{PORT}",
                    f"--peer={verifier} over link {' or '.join(self._routes.first_shaped(device))}",
                ]
            self._start_node(stack, device, "nodes.device", arguments)
        if uses_verifier:
            listen = f"--listen=tcp://*:{PORT}"
            arguments = [*self._model("target"), *common, listen]
            self._start_node(stack, verifier, f"nodes.{verifier}", arguments)
        for name, node in self._nodes.items():
            spec = self._plan.target if name == verifier else self._plan.draft
            checked(node, node.receive(longest_loading(spec), self._watch), Ready)

    def _model(self, role: Role) -> list[str]:
        """The arguments that say what model a node has, and how fast it is."""
        spec = self._plan.draft if role == "draft" else self._plan.target
        arguments = [f"--model={msgspec.json.encode(spec).decode()}"]
        if role in self._scenario.paces:
            pace = msgspec.json.encode(self._scenario.paces[role])
            arguments.append(f"--pace={pace.decode()}")
        return arguments

    def _start_node(self, stack: ExitStack, name: str, module: str, arguments: list[str]) -> None:
        popen = partial(self.network.popen, name)
        node = NodeProcess(name, module, arguments, self._results.log(name, self._point), popen)
        stack.callback(node.stop)
        self._nodes[name] = node

    def _report(self, *nodes: NodeProcess) -> tuple[NodeProcess, NodeReport]:
        # A node itself gives up after `timeout` of silence; this is for a node that hangs.
        return receive_any(nodes, clock.real(self._scenario.timeout) + 30, self._watch)

    def _watch(self) -> None:
        """Raise when anything the run depends on is dead."""
        for node in self._nodes.values():
            node.check()
        for wire in self.network.wires.values():
            wire.check()
        self.network.handovers.check()


def longest_loading(spec: ModelSpec) -> float:
    """Return the seconds that a node may take to load a model."""
    if not isinstance(spec, HuggingFaceSpec):
        return _LOADING
    files = (path for path in Path(spec.path).iterdir() if path.is_file())
    return _LOADING + sum(path.stat().st_size for path in files) / _SLOW_DISK


def _events(directory: Path, node: str, since: int) -> dict[str, list[Event]]:
    """What a node wrote of each text of a run since then; nothing when it takes no part."""
    path = directory / f"{node}.jsonl"
    return events_by_stream(path, since, growing=True) if path.exists() else {}
