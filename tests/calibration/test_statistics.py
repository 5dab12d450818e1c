"""Statistical tests of links: a good link passes each of them, and a wrong link fails it."""

from itertools import product

import numpy as np
import pytest

from testbed.calibration.statistics import (
    loss_interval,
    run_length_distribution,
    run_length_p,
    run_lengths,
    shape_distance,
)
from testbed.links.gilbert_elliott import GilbertElliott, as_chain
from testbed.links.jitter import Jitter


def simulated(chain, packets, seed):
    """Draw the fates of packets under a chain, without the code under test."""
    random = np.random.default_rng(seed)
    bad, lost = False, []
    for _ in range(packets):
        lost.append(random.random() < (chain.bad_loss if bad else chain.good_loss))
        bad = random.random() < (1 - chain.r if bad else chain.p)
    return np.array(lost)


def probability(chain, fates):
    """Return P(these fates) for a stationary chain: the sum over all paths of its state."""
    bad = chain.p / (chain.p + chain.r)
    total = 0.0
    for states in product((False, True), repeat=len(fates)):
        chance = bad if states[0] else 1 - bad
        for i, (state, lost) in enumerate(zip(states, fates, strict=True)):
            loss = chain.bad_loss if state else chain.good_loss
            chance *= loss if lost else 1 - loss
            if i + 1 < len(states):
                to_bad = 1 - chain.r if state else chain.p
                chance *= to_bad if states[i + 1] else 1 - to_bad
        total += chance
    return total


CHAINS = [
    GilbertElliott(0.02, 0.3),
    GilbertElliott(0.1, 0.4, bad_loss=0.7, good_loss=0.05),
    GilbertElliott(0.9, 0.8, bad_loss=0.9),
    as_chain(0.2),
]


@pytest.mark.parametrize("chain", CHAINS)
def test_the_law_of_runs_is_that_of_all_paths(chain):
    begins = probability(chain, [False, True])
    probabilities = run_length_distribution(chain, 4)
    for n in range(1, 5):
        exactly = probability(chain, [False, *[True] * n, False])
        assert probabilities[n - 1] == pytest.approx(exactly / begins, abs=1e-12)
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


def test_runs_of_all_or_nothing_are_geometric():
    probabilities = run_length_distribution(GilbertElliott(0.02, 0.25), 6)
    assert probabilities[:6] == pytest.approx([0.25 * 0.75**n for n in range(6)])
    assert run_length_distribution(as_chain(0.1), 3)[:3] == pytest.approx([0.9, 0.09, 0.009])


@pytest.mark.parametrize(
    ("fates", "lengths"),
    [("", []), ("...", []), (".x.", [1]), ("xx.x.xxx..x", [1, 3]), ("xxx", []), (".xx", [])],
)
def test_runs_count_when_both_their_ends_were_seen(fates, lengths):
    assert list(run_lengths(np.array([fate == "x" for fate in fates], dtype=bool))) == lengths


def test_bursts_widen_the_interval():
    low, high = loss_interval(200, 10_000, as_chain(0.02))
    wide_low, wide_high = loss_interval(200, 10_000, GilbertElliott(p=0.01, r=0.5))
    assert (wide_high - wide_low) / (high - low) == pytest.approx(2.92**0.5, rel=0.01)
    # States that lose alike tell nothing of each other.
    same = GilbertElliott(p=0.01, r=0.05, bad_loss=0.02, good_loss=0.02)
    assert loss_interval(200, 10_000, same) == (low, high)


@pytest.mark.parametrize("chain", CHAINS)
def test_the_interval_holds_the_mean_in_95_of_100(chain):
    packets, trials = 4000, 200
    held = 0
    for seed in range(trials):
        low, high = loss_interval(int(simulated(chain, packets, seed).sum()), packets, chain)
        held += low <= chain.mean <= high
    assert held / trials > 0.91


@pytest.mark.parametrize("chain", CHAINS)
def test_runs_go_with_their_own_law_and_not_with_longer_ones(chain):
    lengths = run_lengths(simulated(chain, 60_000, 7))
    assert run_length_p(lengths, chain) > 0.001
    other = GilbertElliott.of_bursts(0.05, 1.25 * lengths.mean() + 0.3)
    assert run_length_p(lengths, other) < 1e-6


def test_too_few_runs_tell_nothing():
    assert run_length_p(np.array([], dtype=np.int64), as_chain(0.01)) is None
    assert run_length_p(np.array([1, 1, 2]), as_chain(0.01)) is None


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto", "paretonormal"])
def test_a_shape_is_near_its_own_distribution_and_far_from_the_others(
    distribution,
):
    random = np.random.default_rng(3)

    def quantiles(name, us):
        return np.array([Jitter(1.0, name).hold(10.0, u) for u in us])

    even = (np.arange(5000) + 0.5) / 5000
    sample = quantiles(distribution, random.random(2000)) + 0.25
    assert shape_distance(sample, quantiles(distribution, even)) < 0.05
    for other in {"uniform", "normal", "pareto", "paretonormal"} - {distribution}:
        assert shape_distance(sample, quantiles(other, even)) > 0.05
