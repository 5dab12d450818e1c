"""The exact law of the first round of a method, against the target's own."""

from __future__ import annotations

from collections import defaultdict

import pytest

from testbed.decoding.sampling import Sampling
from tests.enumeration import law
from tests.toy import first_round, target_law

SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(temperature=1.3, top_k=3),
    Sampling(top_p=0.8),
    Sampling(temperature=0),
]


def round_law_error(the_task, draft, target, tokens: int, quantise=None) -> float:
    """Largest deviation of the law of `tokens` tokens from the target's, over all texts."""
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
