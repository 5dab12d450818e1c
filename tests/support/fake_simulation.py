"""A simulation that computes nothing: two rounds of four tokens for each prompt and device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from testbed.counts import DraftCounts, Traffic
from testbed.errors import TestbedError
from testbed.experiment.routes import Routes
from testbed.links.wire_counters import DirectionCounters, WireCounters
from testbed.protocol.control import Result
from testbed.simulation.contract import DecodedPrompt, EndPackets, NetworkCounters, RunEnd

UP, DOWN, PACKET = 3, 2, 100
"""Packets of a prompt and device on each link, and the bytes of one."""
ROUND = 0.25
"""Virtual seconds of a round."""
PASS = 0.05
"""Virtual seconds of the target's pass."""
SAID = 64
"""Bytes of a message of the verifier."""


class FakeSimulation:
    """Takes `simulated_bench.open_simulation`'s place."""

    broken: frozenset[str] = frozenset()
    """Methods that cannot end."""
    missed = 0
    """Packets that a link took in, and of which its host knows nothing."""

    def __init__(self, scenario, plan, results) -> None:
        self.scenario, self.routes, self.now = scenario, Routes(scenario), 0.0
        self.prompts = dict.fromkeys([*self._names("links"), *self._names("plain")], 0)

    def _names(self, kind: str) -> list[str]:
        return [link.name for link in getattr(self.routes, kind)]

    def begin(self, label, repetition, *, uses_verifier):
        return FakeSimulatedRun(self, label)

    def state(self) -> dict[str, Any]:
        return {"tcp": {"congestion_control": self.scenario.spec.tcp.congestion_control}}

    def counters(self) -> NetworkCounters:
        wires, ends = {}, {}
        for name, prompts in self.prompts.items():
            up, down = UP * prompts, DOWN * prompts
            wires[name] = WireCounters(_carried(up), _carried(down))
            ends[name] = EndPackets((up - self.missed * bool(prompts), down), (up, down))
        return NetworkCounters(wires, ends)


def _carried(packets: int) -> DirectionCounters:
    return DirectionCounters(packets, PACKET * packets, packets, PACKET * packets, 0, 0)


class FakeSimulatedRun:
    """Every device commits four tokens in two rounds."""

    def __init__(self, simulation: FakeSimulation, method: str) -> None:
        self._simulation, self._method, self._began = simulation, method, simulation.now

    def decode(self, requests, prompt, progress) -> DecodedPrompt:
        if self._method in self._simulation.broken:
            raise TestbedError(f"no answer to {self._method}")
        before = self._simulation.counters()
        start, verifier = self._simulation.now, self._simulation.scenario.spec.verifier
        results: dict[str, Result] = {}
        events: dict[str, list[dict[str, Any]]] = {verifier: []}
        for device, request in requests.items():
            results[device] = _result(start)
            events[device] = list(_at_device(device, request.stream, start))
            events[verifier] += _at_verifier(verifier, request.stream, start)
            for name in self._simulation.prompts:
                own = name in self._simulation.routes.own_links[device]
                shared = name in self._simulation._names("links")
                self._simulation.prompts[name] += own or shared
        progress(4 * len(requests), 2 * ROUND)
        self._simulation.now += 2 * ROUND
        return DecodedPrompt(results, events, before, self._simulation.counters())

    def end(self) -> RunEnd:
        seconds = self._simulation.now - self._began
        begun: Mapping[str, float] = dict.fromkeys(self._simulation._names("links"), seconds)
        return RunEnd(seconds, begun, {}, [], {})


def _result(start: float) -> Result:
    counts = DraftCounts.zero()
    for _ in range(2):
        counts.count_verification(1, 1, 1, rejected=False)
    counts.rounds = 2
    traffic = msgspec.structs.replace(
        Traffic.zero(), up_messages=2, up_bytes=128, up_payload_bits=900, down_messages=2,
        down_bytes=2 * SAID,
    )  # fmt: skip
    times = [ROUND, ROUND, 2 * ROUND, 2 * ROUND]
    return Result([1, 2, 3, 4], "one two three four", times, start, counts, traffic)


def _at_device(node: str, stream: str, start: float):
    for number in (0, 1):
        begin = start + number * ROUND
        yield _event(node, stream, "send", begin, message="Round", round=number, bytes=64)
        yield _event(
            node, stream, "receive", begin + ROUND, message="Reply", round=number, bytes=SAID
        )
        yield _event(node, stream, "commit", begin + ROUND, round=number)


def _at_verifier(node: str, stream: str, start: float):
    for number in (0, 1):
        begin = start + number * ROUND + 0.1
        yield _event(node, stream, "receive", begin, message="Round", round=number, bytes=64)
        yield {**_event(node, stream, "verify", begin), "dur": round(PASS * 1e9)}
        yield _event(
            node, stream, "send", begin + PASS, message="Reply", round=number, bytes=SAID,
            payload_bits=20,
        )  # fmt: skip


def _event(node: str, stream: str, event: str, t: float, **fields: Any) -> dict[str, Any]:
    return {"node": node, "t": round(t * 1e9), "event": event, "stream": stream, **fields}
