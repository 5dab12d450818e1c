"""The law of every method through the virtual-time driver, with messages at every possible moment.

Both halves run as they do in simulated runs. Each message takes one of several times, each of which
is a branch: early or late, also later than the other end goes on without it. Given any sequence of
these times, the law of the text must be the target's.
"""

from __future__ import annotations

import time
from collections import defaultdict

import pytest
import simpy

from testbed import clock
from testbed.codecs.fixed_point import FixedPoint
from testbed.methods.base import methods
from testbed.models.compute.pace import Pace
from testbed.protocol.verifier_server import VerifierServer
from testbed.simulation.inbox import Inbox
from testbed.simulation.own_work import OwnWork
from testbed.simulation.virtual_clock import VirtualClock
from testbed.simulation.virtual_nodes import VirtualDevice, VirtualVerifier
from tests.support.enumeration import law
from tests.support.toy import PROMPT, ToyModel, target_law, task

MOMENTS = (1e-4, 0.3)
"""Seconds that a message may take: less than anything else, and more than all of a round."""
DRAFT_PACE, TARGET_PACE = Pace(3e-3, 1e-3), Pace(20e-3, 1e-3)
OPTIONS = {
    "cloud_ar": {},
    "dsd": {"draft_length": 2},
    "dssd": {"draft_length": 2},
    "dssd_lazy": {"draft_length": 2, "top_k": 2, "lattice": 5},
    "dssd_lean": {"draft_length": 2},
    "gumbel": {"draft_length": 1},
    "qs": {"draft_length": 2, "lattice": 5},
    "ksqs": {"draft_length": 2, "top_k": 2, "lattice": 5},
    "csqs": {"draft_length": 2, "lattice": 5},
    "tslt": {"draft_length": 2, "top_k": 1},
    "tslt_tree": {"branches": [2, 1], "top_k": 2},
}
WATCHING = {
    "ucb": {"policy": "ucb", "longest": 2, "exploration": 0.0},
    "lambert": {"policy": "lambert", "acceptance": 0.8, "longest": 2},
}
"""Policies whose drafts depend on how long things took."""


class Moments:
    """The times of messages, each a branch; the time is not part of the probability."""

    def __init__(self, random, first: int) -> None:
        self._random = random
        self._left = first
        self.taken: list[float] = []

    def next(self) -> float:
        if len(self.taken) < self._left:
            index = self._random._branch([1 / len(MOMENTS)] * len(MOMENTS))
            self.taken.append(MOMENTS[index])
        else:
            self.taken.append(MOMENTS[0])
        return self.taken[-1]


def decode_in_virtual_time(the_task, draft, target, random, moments) -> tuple[int, ...]:
    """Decode one text between two virtual nodes whose messages take these times."""
    env = simpy.Environment()
    virtual = VirtualClock(env)
    to_device, to_verifier = Inbox(env), Inbox(env)

    def deliver(inbox, item):
        # Messages of one connection stay in order, whatever the link does.
        due = max(env.now + moments.next(), last.get(inbox, 0.0))
        last[inbox] = due
        env.timeout(due - env.now).callbacks.append(lambda _: inbox.put(item))

    last: dict[Inbox, float] = {}
    device = VirtualDevice(
        virtual,
        OwnWork("device", lambda *_: virtual.spend(1e-4), time.thread_time),
        draft,
        DRAFT_PACE,
        send=lambda frames: deliver(to_verifier, (b"device", frames)),
        inbox=to_device,
        peer="verifier",
        timeout=5,
        randomiser=lambda *_: random,
    )
    work = OwnWork("verifier", lambda *_: virtual.spend(1e-4), time.thread_time)
    server = VerifierServer(target, lambda *_: random, TARGET_PACE, work.around)
    server.trace = work
    verifier = VirtualVerifier(
        virtual, work, server, send=lambda _, frames: deliver(to_device, frames), inbox=to_verifier
    )
    env.process(verifier.serve())
    with clock.virtual(virtual.now):
        decoded = env.run(env.process(device.decode(the_task, PROMPT, lambda tokens: None)))
    return tuple(decoded.tokens)


def laws_by_moments(the_task, draft, target, first: int) -> dict[tuple, dict[tuple, float]]:
    """Return the law of the text given each sequence of the times of the first messages."""

    def run(random):
        moments = Moments(random, first)
        text = decode_in_virtual_time(the_task, draft, target, random, moments)
        return tuple(moments.taken[:first]), text

    laws: dict[tuple, dict[tuple, float]] = defaultdict(dict)
    for (moments, text), mass in law(run).items():
        laws[moments][text] = mass * len(MOMENTS) ** len(moments)
    return laws


def error(the_task, draft, target, first, quantise=None) -> float:
    wanted = target_law(target, the_task.sampling, the_task.max_new_tokens, quantise)
    laws = laws_by_moments(the_task, draft, target, first)
    assert len(laws) == len(MOMENTS) ** first
    for each in laws.values():
        assert sum(each.values()) == pytest.approx(1, abs=1e-12)
        assert set(each) <= set(wanted)
    return max(
        abs(each.get(text, 0.0) - mass) for each in laws.values() for text, mass in wanted.items()
    )


def wire(method):
    return FixedPoint("fixed16").quantise if method in ("dssd", "dssd_lean") else None


def test_every_method_with_a_verifier_is_here():
    assert set(OPTIONS) == {name for name, kind in methods().items() if kind.uses_verifier}


@pytest.mark.parametrize("method", OPTIONS)
def test_the_law_is_the_targets_whenever_messages_arrive(method):
    # Enumerated exponentials are raced twice at a position, no more; see tests.support.enumeration.
    tokens = 2 if method == "gumbel" else 3
    the_task = task(method, tokens, **OPTIONS[method])
    assert error(the_task, ToyModel(2, 3), ToyModel(2, 4), 3, wire(method)) < 1e-12


@pytest.mark.parametrize("policy", WATCHING)
@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_the_law_is_the_targets_whatever_a_policy_makes_of_the_moments(method, policy):
    the_task = task(method, 4, draft_length=WATCHING[policy])
    assert error(the_task, ToyModel(2, 3), ToyModel(2, 4), 4, wire(method)) < 1e-12


def test_a_law_that_hung_on_the_moments_would_show():
    """The control: a verifier that takes the likeliest token when an answer is late."""
    draft, target = ToyModel(2, 3), ToyModel(2, 4)

    class Hasty(ToyModel):
        def after(self, text):
            logits = super().after(text)
            return logits + 5 * (logits == logits.max()) if clock.now() > 0.2 else logits

    hasty = Hasty(2, 4)
    the_task = task("cloud_ar", 3)
    wanted = target_law(target, the_task.sampling, 3)
    laws = laws_by_moments(the_task, draft, hasty, 2)
    off = [
        max(abs(each.get(text, 0) - mass) for text, mass in wanted.items())
        for each in laws.values()
    ]
    assert min(off) < 1e-12
    assert max(off) > 1e-2
