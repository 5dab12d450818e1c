"""One prompt decoded on every device at the same time, and again where passes were late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from testbed import clock
from testbed.audit.checks.pacing import late_nodes
from testbed.audit.cpu_samples import Processors
from testbed.audit.link_counters import LinkAudit
from testbed.events import Event, events_by_stream
from testbed.experiment.deployment import Deployment
from testbed.experiment.generation import (
    Generation,
    decode_request,
    paced_nodes,
    prompt_tokens,
    stream_of,
)
from testbed.experiment.live_display import Display
from testbed.experiment.node_process import checked
from testbed.protocol.control import Decode, Progress, Result
from testbed.scenario.methods import MethodEntry

_MAX_REDECODES = 2  # times that a prompt is decoded again because its passes were late


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
        scenario = self._deployment.scenario
        for redecodes in range(_MAX_REDECODES + 1):
            began = clock.now_ns()
            results = self._decode(prompt, display)
            generations = list(self._generations(prompt, results, since=began))
            paced = [paced_nodes(scenario, each) for each in generations]
            late = [reason for nodes in paced for reason in late_nodes(nodes)]
            if not late or self._deployment.too_slow:
                break
            if redecodes < _MAX_REDECODES:
                display.say(f"{self._entry.label} prompt {prompt + 1} once more: {late[0]}")
        self._deployment.too_slow = bool(late)
        return generations, redecodes

    def _decode(self, prompt: int, display: Display) -> dict[str, Result]:
        """Decode a prompt once; return the result of each device."""
        nodes = self._deployment.nodes
        self.links.start()
        self.processors.start()
        scenario, plan = self._deployment.scenario, self._deployment.plan
        tokens = prompt_tokens(plan, prompt)
        for name in self._devices:
            stream = stream_of(name, prompt)
            request = decode_request(scenario, plan, self._entry, self._repetition, stream)
            nodes[name].send(Decode(request, tokens))
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

    def _generations(
        self, prompt: int, results: dict[str, Result], *, since: int
    ) -> Iterator[Generation]:
        """Yield the generations of all devices, with the events from `since` on.

        `since` is in ns of testbed.clock.
        """
        answers = self._events(self._deployment.scenario.spec.verifier, since)
        for name in self._devices:
            stream = stream_of(name, prompt)
            mine = self._events(name, since).get(stream, [])
            yield Generation(name, results[name], mine, answers.get(stream, []))

    def _events(self, node: str, since: int) -> dict[str, list[Event]]:
        """Return the events of a node by stream; none where it takes no part in the run."""
        path = self._folder / f"{node}.jsonl"
        return events_by_stream(path, since, growing=True) if path.exists() else {}
