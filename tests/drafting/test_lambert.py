"""TK-SLT's draft length: the best one for what is measured, none where the target is better off."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean

import pytest

from testbed.drafting.lambert import PROBE, Lambert
from tests.drafting.rounds import World, length, outcome


def best(alpha: float, cost: float, longest: int) -> int:
    """argmax S by trying; 0, with S = 1, where no draft is better."""
    return max(
        range(longest + 1), key=lambda g: sum(alpha**i for i in range(g + 1)) / (1 + g * cost)
    )


ALPHAS = [0.01, 0.2, 0.4, 0.6, 0.8, 0.9, 0.99, 0.9999999]
COSTS = [1e-9, 0.003, 0.01, 0.05, 0.11, 0.2, 0.43, 0.61, 0.77, 1.5]


@pytest.mark.parametrize("longest", [1, 5, 16, 200])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_best_length_for_what_is_given(alpha, longest):
    for cost in COSTS:
        policy = Lambert(acceptance=alpha, cost=cost, measure="nothing", longest=longest).start()
        for _ in range(3 * PROBE):
            assert length(policy) == best(alpha, cost, longest)
            policy.learn(outcome(length(policy), 0))


def test_the_papers_table():
    """Table I at L = 0.01, 0.1, 0.2, 0.4, 0.6; 0 where S(γ*) <= 1, as α <= L."""
    table = {0.4: [4, 2, 1, 0, 0], 0.6: [7, 3, 2, 1, 0], 0.8: [14, 6, 4, 2, 1]}
    for alpha, wanted in table.items():
        got = [
            length(Lambert(acceptance=alpha, cost=cost, measure="nothing").start())
            for cost in (0.01, 0.1, 0.2, 0.4, 0.6)
        ]
        assert got == wanted


def test_measured_acceptance_and_given_cost_do_without_a_clock():
    """The same verdicts, the same lengths, whatever the times."""
    policies = [Lambert(cost=0.1, measure="acceptance").start() for _ in range(2)]
    lengths = set()
    for i in range(150):
        n = {length(policy) for policy in policies}
        assert len(n) == 1
        drafted = n.pop()
        lengths.add(drafted)
        accepted = drafted if i < 30 else 0
        for k, policy in enumerate(policies):
            policy.learn(outcome(drafted, accepted, wait_s=0.2 + k * i, draft_s=0.01 + k / 7))
    assert min(lengths) == 0
    assert max(lengths) > 8


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draft_bytes", [4, 1000])
def test_measuring_leads_to_the_best_length(seed, draft_bytes):
    """Within 30 rounds, from a wrong beginning, and again after a change."""
    world = World(seed, draft_bytes=draft_bytes)
    policy = Lambert(acceptance=0.5, cost=0.45).start()
    for rate, acceptance in ((1e5, 0.8), (2e4, 0.8), (1e5, 0.95)):
        world.change(uplink=rate, acceptance=acceptance)
        gains = []
        for _ in range(100):
            drafted = length(policy)
            gains.append(world.gain(drafted) / world.gain(world.best(16)))
            policy.learn(world.round(drafted))
        assert mean(gains[30:]) > 0.93


def test_a_round_trip_is_paid_with_and_without_drafts():
    """So it makes longer drafts worth while; counted as upload it would make them shorter."""
    lengths = []
    for fixed in (0.0, 0.3):
        world = World(1, fixed_s=fixed, jitter_s=0.0, acceptance=1.0)
        policy = Lambert(acceptance=0.8, measure="cost", longest=40).start()
        for _ in range(20):
            policy.learn(world.round(length(policy)))
        lengths.append(length(policy))
        assert lengths[-1] == best(0.8, world.cost, 40)
    assert lengths[0] < lengths[1]


def test_alone_it_probes_now_and_then_and_notices_that_drafts_pay_again():
    world = World(3, uplink=5e3)  # 0.2 s a draft
    policy = Lambert().start()
    lengths = []
    for i in range(30 + 4 * PROBE):
        if i == 30:
            world.change(uplink=1e6)
        lengths.append(length(policy))
        policy.learn(world.round(lengths[-1]))
    alone = lengths[10:30]
    assert set(alone) == {0, 1}
    probes = [i for i, n in enumerate(alone) if n]
    assert {b - a for a, b in pairwise(probes)} == {PROBE}
    assert max(lengths[30:]) > 1


def test_extremes_do_not_break_it():
    policy = Lambert(longest=7).start()
    for _ in range(500):  # α is 1 to the last bit, and nothing takes any time
        policy.learn(outcome(4, 4, draft_s=0.0, wait_s=0.1, verifier_s=0.1, uplink_payload_bits=0))
    assert length(policy) == 7
    for _ in range(500):
        policy.learn(outcome(4, 0, draft_s=0.0, wait_s=0.0, verifier_s=0.0))
    assert length(policy) == 0
