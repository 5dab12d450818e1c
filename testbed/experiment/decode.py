"""One prompt decoded on every device at the same time, and again where passes were late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed import clock
from testbed.audit.checks.pacing import late_nodes
from testbed.audit.cpu_samples import Processors
from testbed.audit.evidence import PacedNode
from testbed.audit.link_counters import LinkAudit
from testbed.events import Event, events_by_stream
from testbed.experiment.deployment import Deployment
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import checked
from testbed.models.spec import Role
from testbed.protocol.control import Decode, Progress, Result
from testbed.protocol.request import DecodeRequest
from testbed.scenario.methods import MethodEntry

_MAX_REDECODES = 2  # times that a prompt is decoded again because its passes were late


@dataclass(frozen=True)
class Generation:
    """One generation of a device, and the events that both nodes wrote during it."""

    device: str
    result: Result
    events: list[Event]
    """The device's."""
    answers: list[Event]
    """The verifier's."""


class Decoder:
    """Decodes the prompts of one run, and samples links and processors around each."""

    def __init__(
        self, deployment: Deployment, entry: MethodEntry, repetition: int, folder: Path
    ) -> None:
        """`folder` is where nodes write the events of the run."""
        self._deployment = deployment
        self._entry, self._repetition, self._folder = entry, repetition, folder
        routes = deployment.routes
        self._devices = list(routes.own_links)
        self.links = LinkAudit(deployment.network, routes.links, routes.plain)
        """The links' counters, before and after the last prompt."""
        self.processors = Processors({n: node.pid for n, node in deployment.nodes.items()})

    def decode(self, prompt: int, display: Display) -> tuple[list[Generation], int]:
        """Return the generations of all devices, and how often they were decoded again.

        Anything else that runs on this machine can make single passes late. Then the prompt is
        decoded again on all devices, at most _MAX_REDECODES times, and only the last time counts.
        If the last is late too, this machine is too slow: later prompts are decoded once each,
        until one is not late.
        """
        for redecodes in range(_MAX_REDECODES + 1):
            began = clock.now_ns()
            results = self._decode(prompt, display)
            generations = list(self._generations(prompt, results, since=began))
            late = [reason for each in generations for reason in late_nodes(self.paced(each))]
            if not late or self._deployment.too_slow:
                break
            if redecodes < _MAX_REDECODES:
                display.say(f"{self._entry.label} prompt {prompt + 1} once more: {late[0]}")
        self._deployment.too_slow = bool(late)
        return generations, redecodes

    def paced(self, generation: Generation) -> list[PacedNode]:
        """Return the nodes whose compute is paced, with their events of a generation."""
        scenario = self._deployment.scenario
        nodes: dict[Role, tuple[str, list[Event]]] = {
            "draft": (generation.device, generation.events),
            "target": (scenario.spec.verifier, generation.answers),
        }
        return [PacedNode(*nodes[role], pace) for role, pace in scenario.paces.items()]

    def _decode(self, prompt: int, display: Display) -> dict[str, Result]:
        """Decode a prompt once; return the result of each device."""
        nodes = self._deployment.nodes
        self.links.start()
        self.processors.start()
        tokens = [int(token) for token in self._deployment.plan.prompts[prompt].split()]
        for name in self._devices:
            nodes[name].send(Decode(self._request(f"{name}/{prompt}"), tokens))
        busy = {name: nodes[name] for name in self._devices}
        results: dict[str, Result] = {}
        committed = 0
        while busy:
            node, report = self._deployment.report(busy.values())
            if isinstance(report, Progress):
                committed += report.tokens
                display.update(committed, report.seconds)
            else:
                results[node.name] = checked(node, report, Result)
                del busy[node.name]
        self.processors.stop()
        self.links.settle()
        return results

    def _request(self, stream: str) -> DecodeRequest:
        spec = self._deployment.scenario.spec
        return DecodeRequest(
            method=self._entry.method,
            options=self._entry.options,
            sampling=spec.decoding.sampling,
            seed=spec.seed,
            repetition=self._repetition,
            stream=stream,
            max_new_tokens=spec.decoding.max_new_tokens,
            end_tokens=tuple(self._deployment.plan.end_tokens),
        )

    def _generations(
        self, prompt: int, results: dict[str, Result], *, since: int
    ) -> Iterator[Generation]:
        """Yield the generations of all devices, with the events from `since` on.

        `since` is in ns of testbed.clock.
        """
        answers = self._events(self._deployment.scenario.spec.verifier, since)
        for name in self._devices:
            stream = f"{name}/{prompt}"
            mine = self._events(name, since).get(stream, [])
            yield Generation(name, results[name], mine, answers.get(stream, []))

    def _events(self, node: str, since: int) -> dict[str, list[Event]]:
        """Return the events of a node by stream; none where it takes no part in the run."""
        path = self._folder / f"{node}.jsonl"
        return events_by_stream(path, since, growing=True) if path.exists() else {}
