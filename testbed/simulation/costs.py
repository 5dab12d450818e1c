"""Recorded costs: the seconds that nodes take for a method's own work, by its kind.

Virtual time stands while nodes compute; instead of their real time they are charged the mean of a
few generations that `record` decodes for real, without links. Their source is the processor that
decoded them. One kind is how late passes end: a process wakes up a little after its pass is due.
That is measured without models, as these may take longer than any pace: virtual time stands for it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from testbed.decoding.randomness import KeyedRandomness
from testbed.host.realtime import sleep_until
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.simulation.own_work import LATE, OnWork, OwnWork
from testbed.transport.in_process import InProcessChannel

Costs = dict[str, float]
"""Mean seconds of each kind of work of one node."""
PACE = Pace(per_pass=8e-3, per_token=0.0)
"""The pace of passes while costs are recorded: as in a node, work follows a pause, and finds caches
cold and the processor slow."""
BUDGET = 1.0
"""Seconds after which no further generation is begun; at least two are decoded."""
TOKENS = 24
"""The most tokens of a generation."""
_PAUSES = 25
"""Pauses of which the lateness is recorded, and their lower quartile taken: on a busy machine many
end far later than in a node that has a processor to itself."""
_SLOWEST = 0.05  # share of the pieces of a kind that is left out: interrupts, garbage collection


def record(
    request: DecodeRequest, prompt: Sequence[int], draft: Model, target: Model
) -> dict[str, Costs]:
    """Return the costs of `device` and `verifier` for generations like the requested one."""
    pieces: dict[str, dict[str, list[float]]] = {}

    def into(node: str) -> OnWork:
        mine = pieces[node] = defaultdict(list)
        return lambda kind, seconds: mine[kind].append(seconds)

    device, verifier = (
        OwnWork(node, into(node), time.thread_time) for node in ("device", "verifier")
    )
    server = VerifierServer(target, KeyedRandomness, PACE, verifier.around)
    server.trace = verifier
    tokens = min(request.max_new_tokens, TOKENS)
    began, decoded = time.monotonic(), 0
    while decoded < 2 or time.monotonic() - began < BUDGET:
        generate(
            replace(request, max_new_tokens=tokens, stream=f"costs/{decoded}"),
            prompt,
            draft,
            InProcessChannel(server),
            timeout=60,
            trace=device,
            pace=PACE,
            around=device.around,
        )
        decoded += 1
    late = float(np.quantile([_lateness() for _ in range(_PAUSES)], 0.25))
    return {
        node: {**{kind: _mean(seconds) for kind, seconds in mine.items()}, LATE: late}
        for node, mine in pieces.items()
    }


class ChargedCosts:
    """The costs of a method's nodes, as they are charged.

    Work of a kind that was not recorded is charged the mean of all kinds that were; its kind is
    added to `unknown`. Its real time would make runs differ that have the same costs.
    """

    def __init__(self, costs: Mapping[str, Costs], unknown: set[str]) -> None:
        self._costs = costs
        self._unknown = unknown

    def charge(self, role: str, spend: Callable[[float], None]) -> OnWork:
        """Return what charges the `device` or the `verifier` for its work."""
        costs = self._costs[role]
        usual = float(np.mean(list(costs.values()))) if costs else 0.0

        def done(kind: str, _seconds: float) -> None:
            if kind not in costs:
                self._unknown.add(f"{role} {kind}")
            spend(costs.get(kind, usual))

        return done


def _lateness() -> float:
    """Pause for as long as a pass; return the seconds by which that takes longer."""
    due = time.monotonic() + PACE.per_pass
    sleep_until(due)
    return time.monotonic() - due


def _mean(seconds: Sequence[float]) -> float:
    """Return the mean without the slowest pieces."""
    kept = sorted(seconds)[: max(1, round(len(seconds) * (1 - _SLOWEST)))]
    return float(np.mean(kept))
