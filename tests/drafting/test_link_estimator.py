"""Estimates that a device makes from its rounds: the fixed part, the rate, the models' times, α."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from testbed.drafting.link_estimator import GUESSED_TESTS, ExponentialAverage, LinkEstimator
from tests.drafting.rounds import ROUND, World, outcome


def started() -> LinkEstimator:
    """Behind the first round, which is not timed."""
    measured = LinkEstimator(0.5)
    measured.learn(outcome(1, 0, wait_s=9.0, verifier_s=5.0, draft_s=7.0, uplink_bytes=999))
    return measured


def network(seconds: float, up: int, drafted: int = 4, **fields):
    return outcome(drafted, 0, wait_s=seconds + 0.1, verifier_s=0.1, uplink_bytes=up, **fields)


def test_forgetful_sums():
    sums = ExponentialAverage(0.5)
    assert sums.mean is None
    sums.add(3, 1)
    sums.add(8, 4)
    assert sums.mean == (3 / 2 + 8) / (1 / 2 + 4)


def test_nothing_is_known_at_first_and_no_time_after_the_first_round():
    """It holds the prompt on its way and its reading, at both ends."""
    for measured in (LinkEstimator(0.5), started()):
        assert (measured.draft_s, measured.verifier_s) == (None, None)
        assert (measured.fixed_s, measured.uplink) == (None, None)
    assert LinkEstimator(0.5).draft_bytes is None
    assert LinkEstimator(0.7).acceptance == pytest.approx(0.7)


def test_two_sizes_tell_the_fixed_part_from_the_rate():
    measured = started()
    for up in (1000, 5000):
        measured.learn(network(0.04 + up / 20000, up))
    assert measured.fixed_s == pytest.approx(0.04)
    assert measured.uplink == pytest.approx(20000)


@pytest.mark.parametrize("nearly", [0, 1])
def test_of_equal_sizes_all_is_put_down_to_the_bytes(nearly):
    """Nor do sizes that are nearly the same tell anything but noise."""
    measured = started()
    for i in range(10):
        measured.learn(network(0.2 + 0.01 * (i % 2), 4000 + nearly * (i % 3)))
    assert measured.fixed_s == 0
    assert measured.uplink == pytest.approx(4000 / 0.205, rel=0.03)


def test_rounds_without_drafts_tell_the_fixed_part_and_leave_the_rate():
    measured = started()
    measured.learn(network(0.05 + 4000 / 20000, 4000))
    for _ in range(8):
        measured.learn(network(0.06 + 45 / 20000, 45, drafted=0, draft_s=0.0))
    measured.learn(network(0.05 + 45 / 20000, 45, drafted=0, draft_s=0.0))
    assert measured.fixed_s == pytest.approx(0.05, rel=0.05)
    assert measured.uplink == pytest.approx(20000, rel=0.05)
    assert measured.draft_s == pytest.approx(ROUND.draft_s / 4)


def test_long_answers_are_left_out():
    """DSSD's answer to a rejection holds all of p: its time is the downlink's."""
    plain, mixed = started(), started()
    for up in (1000, 2000, 3000, 4000) * 3:
        fair = network(0.05 + up / 20000, up, downlink_bytes=48)
        plain.learn(fair)
        mixed.learn(network(3.0, up, downlink_bytes=100_000))
        mixed.learn(fair)
    assert mixed.fixed_s == pytest.approx(plain.fixed_s)
    assert mixed.uplink == pytest.approx(plain.uplink)


def test_an_upload_that_takes_no_time_has_no_rate():
    measured = started()
    for up in (1000, 2000):
        measured.learn(network(0.05, up))
    assert measured.uplink == float("inf")


def test_a_verifier_that_claims_more_than_the_wait_breaks_nothing():
    measured = started()
    measured.learn(replace(ROUND, wait_s=0.1, verifier_s=0.2))
    assert measured.fixed_s == 0


@pytest.mark.parametrize("seed", range(5))
def test_with_noise(seed):
    world, measured = World(seed), started()
    for drafted in np.random.default_rng(seed).integers(1, 9, 40):
        measured.learn(world.round(int(drafted)))
    late = world.jitter_s  # always late, so it adds to the fixed part
    assert world.fixed_s - late < measured.fixed_s < world.fixed_s + 2 * late
    assert measured.uplink == pytest.approx(world.uplink, rel=0.2)
    assert measured.draft_s == pytest.approx(world.draft_s)
    assert measured.draft_bytes == pytest.approx(world.draft_bytes, rel=1e-3)
    assert measured.verifier_s == pytest.approx(world.verifier_s)


@pytest.mark.parametrize("every", [4, 6, 10])
@pytest.mark.parametrize("ratio", [3, 10])
def test_a_link_that_switches_between_two_rates(ratio, every):
    """A slower rate shows within a round, a faster one within three; the fixed part stays."""
    rates = (1e5, 1e5 / ratio)
    for seed in range(5):
        sizes = np.random.default_rng(seed).integers(1, 9, 120)
        world, measured = World(seed), started()
        for i, drafted in enumerate(sizes):
            since, now = i % every, i // every % 2
            world.change(uplink=rates[now])
            measured.learn(world.round(int(drafted)))
            if i < 30:
                continue
            assert measured.fixed_s == pytest.approx(world.fixed_s, rel=0.3)
            middle = (rates[0] * rates[1]) ** 0.5
            if now == 1 and since >= 1:
                assert measured.uplink < middle
            if now == 0 and since >= 2:
                assert measured.uplink > middle
            if since >= 5:
                assert measured.uplink == pytest.approx(rates[now], rel=0.2)


def test_acceptance_begins_with_the_guess_and_forgets_it():
    measured = LinkEstimator(0.5)
    measured.learn(outcome(4, 4))
    assert measured.acceptance == pytest.approx(
        (0.95 * 0.5 * GUESSED_TESTS + 4) / (0.95 * GUESSED_TESTS + 4)
    )
    for _ in range(200):
        measured.learn(outcome(4, 2))
    assert measured.acceptance == pytest.approx(2 / 3, abs=1e-3)
    for _ in range(60):
        measured.learn(outcome(4, 0))
    assert measured.acceptance < 0.1
    before = measured.acceptance
    measured.learn(outcome(0, 0))
    assert measured.acceptance == before
