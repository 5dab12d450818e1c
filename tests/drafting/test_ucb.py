"""The bandit finds the draft length with the most tokens per second, and notices a change."""

from __future__ import annotations

from statistics import mean

import pytest

from testbed.drafting.ucb import Ucb
from tests.drafting.rounds import World, length, outcome


def play(policy, world, rounds):
    lengths = []
    for _ in range(rounds):
        lengths.append(length(policy))
        policy.learn(world.round(lengths[-1]))
    return lengths


def test_every_length_is_tried_once_the_shortest_first():
    """The first round is not timed, so its length is tried again."""
    policy = Ucb(longest=5).start()
    assert play(policy, World(1), 6) == [1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(8))
def test_the_best_length_within_100_rounds_and_again_100_rounds_after_a_change(seed):
    """Or one within a tenth of it; exploration costs no more than another twentieth."""
    world, policy = World(seed), Ucb().start()
    for constants in (
        {"uplink": 1e5, "acceptance": 0.9},
        {"uplink": 1e4, "acceptance": 0.5},
        {"uplink": 1e5, "acceptance": 0.9},
    ):
        world.change(**constants)
        play(policy, world, 100)
        lengths = play(policy, world, 200)
        top = world.gain(world.best(8, 1))
        assert mean(map(world.gain, lengths)) / top > 0.85
        often = max(set(lengths), key=lengths.count)
        assert world.gain(often) / top > 0.9
    assert world.gain(1) / top < 0.8  # a policy that stands still would have failed


def test_worth_is_tokens_by_seconds_not_the_mean_of_ratios():
    """Of the second length one round in two is very short: (2/0.1 + 2/10)/2 > 5/1, but 4/10.1."""
    policy = Ucb(longest=2, exploration=0).start()
    policy.learn(outcome(1, 0, draft_s=0, wait_s=1))  # not timed
    policy.learn(outcome(1, 1, draft_s=0, wait_s=0.4))
    policy.learn(outcome(2, 1, draft_s=0, wait_s=0.1))
    assert length(policy) == 2
    policy.learn(outcome(2, 1, draft_s=0, wait_s=10))
    assert length(policy) == 1


def test_a_round_counts_for_the_length_it_had_and_one_without_drafts_for_none():
    policy = Ucb(longest=3, exploration=0).start()
    play(policy, World(1), 4)
    policy.learn(outcome(2, 2, draft_s=0, wait_s=1e-6))  # ended early: the third was not drafted
    assert length(policy) == 2
    policy.learn(outcome(0, 0, draft_s=0, wait_s=1e-9))
    assert length(policy) == 2


def test_without_exploration_it_stays_with_what_came_out_best_first():
    greedy, curious = (Ucb(exploration=e).start() for e in (0, 2))
    assert len(set(play(greedy, World(2), 100)[60:])) < len(set(play(curious, World(2), 100)[60:]))
