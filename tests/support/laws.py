"""The exact law of one round of a method, or of whole texts, against the target's own."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager, nullcontext
from itertools import cycle
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from testbed.decoding.sampling import Sampling
from testbed.models.compute import paced_reader
from testbed.protocol import device_loop, verifier_client, verifier_server
from tests.support.enumeration import law
from tests.support.toy import decode_locally, first_round, target_law

SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(temperature=1.3, top_k=3),
    Sampling(top_p=0.8),
    Sampling(temperature=0),
]


def round_law_error(the_task, draft, target, tokens: int, quantise=None) -> float:
    """Largest deviation of the law of `tokens` tokens from the target's, over all texts.

    One round is enumerated; the tokens after it are continued by the target's own law. By
    induction over rounds the whole text then follows the target.
    """
    rounds = law(lambda random: first_round(the_task, draft, target, lambda *_: random))
    wanted = target_law(target, the_task.sampling, tokens, quantise)
    reach = {n: target_law(target, the_task.sampling, n, quantise) for n in range(1, tokens + 1)}
    got: dict[tuple[int, ...], float] = defaultdict(float)
    for emitted, mass in rounds.items():
        head = emitted[:tokens]
        for text, total in wanted.items():
            if text[: len(head)] == head and reach[len(head)][head] > 0:
                got[text] += mass * total / reach[len(head)][head]
            elif text == head + text[len(head) :] and reach[len(head)][head] == 0:
                got[text] += mass  # emitted what the target never says
    assert sum(rounds.values()) == pytest.approx(1, abs=1e-12)
    return max(abs(got[text] - mass) for text, mass in wanted.items())


def text_law(the_task, draft, target, around=nullcontext, **more) -> dict[tuple[int, ...], float]:
    """Return the probability of every generation: no induction, but every path of all rounds.

    Each path runs inside a context of its own, that `around` makes.
    """

    def run(random):
        with around():
            got = decode_locally(the_task, draft, target, randomiser=lambda *_: random, **more)
        return tuple(got.tokens)

    got = law(run)
    assert sum(got.values()) == pytest.approx(1, abs=1e-12)
    return got


def text_law_error(the_task, draft, target, quantise=None, **more) -> float:
    """Largest deviation of the law of whole texts from the target's, over all texts."""
    got = text_law(the_task, draft, target, **more)
    wanted = target_law(target, the_task.sampling, the_task.max_new_tokens, quantise)
    assert set(got) <= set(wanted)
    return max(abs(got[text] - mass) for text, mass in wanted.items())


@contextmanager
def scripted_clocks():
    """Time at both ends goes on by a script, so that it is the same on every path."""
    with (
        patch.object(device_loop, "clock", _clock([1, 7, 2, 30, 3])),
        patch.object(paced_reader, "clock", _clock([3, 11, 2])),
        patch.object(verifier_client, "clock", _clock([2, 30, 3, 1, 7])),
        patch.object(verifier_server, "clock", _clock([1, 5, 1, 9, 2])),
    ):
        yield


def _clock(steps):
    """Time that goes on by the next of `steps`, in ms and over and over, whenever it is asked."""
    now, rest = 0.0, cycle(steps)

    def tell() -> float:
        nonlocal now
        now += next(rest) / 1000
        return now

    return SimpleNamespace(now=tell, now_ns=lambda: round(tell() * 1e9))
