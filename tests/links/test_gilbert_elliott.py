"""Bursty loss: the parameters, and the losses of a link against the chain's distributions."""

import math
from collections import Counter
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

FRAME = bytes(100)
MANY = 100_000


def lost(loss, count=MANY, seed=1, gap=0.0, line=None):
    """Return for each packet whether it was lost."""
    line = line or Pipeline(LinkSpec(loss=loss), RandomKey(seed, "radio", "up"))
    fates = []
    for n in range(count):
        before = line.counts.dropped["loss"]
        line.arrive(n * gap, FRAME)
        fates.append(line.counts.dropped["loss"] > before)
        line.leave(math.inf)
    return fates


def runs(fates, of):
    return [len(list(run)) for fate, run in groupby(fates) if fate is of][1:-1]


def fit(lengths, end):
    """Return the p-value of run lengths under a geometric distribution with probability `end`."""
    counts, total = Counter(lengths), len(lengths)
    longest = max(k for k in range(1, 10_000) if total * (1 - end) ** (k - 1) >= 10)
    seen = [counts[k] for k in range(1, longest)]
    wanted = [total * end * (1 - end) ** (k - 1) for k in range(1, longest)]
    seen.append(total - sum(seen))
    wanted.append(total * (1 - end) ** (longest - 1))
    return chisquare(seen, wanted).pvalue


@pytest.mark.parametrize(("mean", "burst"), [(0.01, 3), (0.1, 10), (0.3, 1.2)])
def test_the_share_lost_and_the_lengths_of_runs_follow_the_chain(mean, burst):
    chain = GilbertElliott.of_bursts(mean, burst)
    fates = lost(chain)
    rho = 1 - chain.p - chain.r
    deviation = math.sqrt(mean * (1 - mean) / MANY * (1 + rho) / (1 - rho))
    assert abs(sum(fates) / MANY - mean) < 2.58 * deviation  # 99 %, as below
    assert fit(runs(fates, True), chain.r) > 0.01
    assert fit(runs(fates, False), chain.p) > 0.01


def test_loss_in_both_states_has_the_mean_and_the_correlation_of_the_chain():
    chain = GilbertElliott(p=0.05, r=0.2, bad_loss=0.7, good_loss=0.02)
    assert chain.mean == pytest.approx(0.2 * 0.7 + 0.8 * 0.02)
    fates = lost(chain)
    assert sum(fates) / MANY == pytest.approx(chain.mean, abs=0.005)
    both = sum(a and b for a, b in pairwise(fates)) / (MANY - 1)
    covariance = 0.2 * 0.8 * (0.7 - 0.02) ** 2 * (1 - 0.05 - 0.2)
    assert both - chain.mean**2 == pytest.approx(covariance, abs=0.005)


def test_the_shortest_bursts_alternate_and_the_usual_one_is_independent():
    assert GilbertElliott.of_bursts(0.5, 1) == GilbertElliott(p=1, r=1)
    assert lost(GilbertElliott(p=1, r=1), 6) == [False, True] * 3
    independent = GilbertElliott.of_bursts(0.2, 1 / 0.8)
    assert independent.p + independent.r == pytest.approx(1)
    assert sum(lost(GilbertElliott.of_bursts(0, 3), 1000)) == 0


def test_the_same_seed_loses_the_same_packets_whatever_the_timing():
    chain = GilbertElliott.of_bursts(0.1, 4)
    assert lost(chain, 2000, gap=0.001) == lost(chain, 2000, gap=0.3)
    assert lost(chain, 2000) != lost(chain, 2000, seed=2)


def test_a_change_in_place_goes_on_where_the_chain_is():
    chain = GilbertElliott.of_bursts(0.2, 5)
    line = Pipeline(LinkSpec(loss=chain), RandomKey(1, "radio", "up"))
    first = lost(chain, 500, line=line)
    line.change(0.0, LinkSpec(loss=chain, delay=0.01))
    assert first + lost(chain, 500, line=line) == lost(chain, 1000)
    line.change(0.0, LinkSpec(loss=0.1))
    single = lost(0.1, 1500)
    assert lost(0.1, 500, line=line) == single[1000:]


def test_chains_that_differ_for_a_while_meet_again():
    chain = GilbertElliott.of_bursts(0.2, 5)
    line = Pipeline(LinkSpec(loss=GilbertElliott.of_bursts(0.9, 50)), RandomKey(1, "radio", "up"))
    lost(chain, 500, line=line)
    line.change(0.0, LinkSpec(loss=chain))
    assert lost(chain, 1000, line=line)[100:] == lost(chain, 1500)[600:]


probabilities = st.floats(min_value=0, max_value=1)


@given(
    p=probabilities, r=st.floats(min_value=1e-9, max_value=1), bad=probabilities, k=probabilities
)
def test_mapping_round_trip(p, r, bad, k):
    spec = LinkSpec(loss=GilbertElliott(p, r, bad, k))
    assert LinkSpec.parse(spec.to_mapping(), "x") == spec


@given(mean=st.floats(min_value=0, max_value=0.999), more=st.floats(min_value=0, max_value=1e6))
def test_every_feasible_mean_and_burst_has_a_chain(mean, more):
    burst = max(1, mean / (1 - mean)) + more
    chain = GilbertElliott.of_bursts(mean, burst)
    assert chain.mean == pytest.approx(mean)
    assert 1 / chain.r == pytest.approx(burst)


@pytest.mark.parametrize(
    ("written", "chain"),
    [
        ({"mean": "1%", "burst": 4}, GilbertElliott(p=0.01 / 0.99 / 4, r=0.25)),
        ({"mean": "1%", "burst": "2.5"}, GilbertElliott(p=0.01 / 0.99 / 2.5, r=0.4)),
        ({"p": "1%", "r": "50%"}, GilbertElliott(0.01, 0.5, 1.0, 0.0)),
        (
            {"p": "1%", "r": "50%", "1-h": "80%", "1-k": "0.1%"},
            GilbertElliott(0.01, 0.5, 0.8, 0.001),
        ),
    ],
)
def test_reads_both_forms(written, chain):
    assert LinkSpec.parse({"loss": written}, "x").loss == chain


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"mean": "1%"}, "burst: this key is missing"),
        ({}, "mean: this key is missing"),
        ({"p": "1%"}, "r: this key is missing"),
        ({"r": "1%"}, "p: this key is missing"),
        ({"mean": "1%", "bursts": 3}, "bursts: unknown key; allowed are mean, burst"),
        ({"p": "1%", "r": "9%", "h": "1%"}, "h: unknown key; allowed are p, r, 1-h, 1-k"),
        ({"p": "1%", "mean": "1%"}, "mean: unknown key; allowed are p, r, 1-h, 1-k"),
        ({"p": "1", "r": "50%"}, "p: '1' is not a percentage"),
        ({"p": "1%", "r": "0%"}, "r: it must be more than 0%"),
        ({"mean": "1%", "burst": "three"}, "burst: 'three' is not a number of packets"),
        ({"mean": "1%", "burst": "9" * 400}, "burst: '99"),
        ({"mean": "1%", "burst": True}, "burst: 'True' is not a number of packets"),
        (
            {"mean": "1%", "burst": 0.5},
            "burst: 0.5 packets are too few for a mean loss of 1%; it must be at least 1",
        ),
        (
            {"mean": "80%", "burst": 3},
            "burst: 3 packets are too few for a mean loss of 80%; it must be at least 4",
        ),
        ({"mean": "100%", "burst": 3}, "mean: 100% leaves no end to a burst; it must be less"),
    ],
)
def test_a_bad_mapping_is_named(written, message):
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse({"loss": written}, "links.radio.up")
    assert str(caught.value).startswith(f"links.radio.up.loss.{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [(1.1, 0.5), (0.1, -1), (0.1, 0.5, 2), (0.1, 0.5, 1, -0.1)])
def test_impossible_values_are_refused(values):
    with pytest.raises(ValueError):
        GilbertElliott(*values)
