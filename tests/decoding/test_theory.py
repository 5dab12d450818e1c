"""The papers' formulas: their printed tables, brute force, simulation and limits."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import lambertw

from testbed.decoding import theory
from testbed.decoding.bit_counts import dssd_downlink_bits, dssd_uplink_bits, tk_slt_bits
from testbed.decoding.lattice import quantise
from testbed.decoding.supports import at_least, top_k
from testbed.decoding.theory import Costs
from tests.support.strategies import over_magnitudes

OPT = 50272  # V of the OPT models
ROUNDS = 200_000
SEQUENCES = [[0.9], [0.9, 0.8, 0.7, 0.2, 0.6], [1.0, 0.5, 0.0, 0.9], [0.3] * 8, [1.0] * 4]


# --- Tokens per round


def simulated_tokens(rates, seed):
    """N in each of ROUNDS rounds: the drafts before the first rejection, and one more."""
    accepted = np.random.default_rng(seed).random((ROUNDS, len(rates))) < np.array(rates)
    return np.logical_and.accumulate(accepted, axis=1).sum(axis=1) + 1


@pytest.mark.parametrize("rates", [*SEQUENCES, *([a] * g for a in (0.5, 0.95) for g in (1, 5, 12))])
def test_expected_tokens_agree_with_simulated_rounds(rates):
    tokens = simulated_tokens(rates, seed=5)
    within = 4 * tokens.std() / math.sqrt(ROUNDS) + 1e-12
    assert abs(tokens.mean() - theory.expected_tokens_by_position(rates)) < within
    if len(set(rates)) == 1:
        assert abs(tokens.mean() - theory.expected_tokens(rates[0], len(rates))) < within


@pytest.mark.parametrize("rates", SEQUENCES)
def test_the_law_of_tokens_agrees_with_simulated_rounds(rates):
    law = theory.tokens_law(rates)
    assert law.shape == (len(rates) + 1,)
    assert law.sum() == pytest.approx(1, abs=1e-14)
    seen = np.bincount(simulated_tokens(rates, seed=6) - 1, minlength=law.size) / ROUNDS
    assert (abs(seen - law) <= 4 * np.sqrt(law * (1 - law) / ROUNDS) + 1e-12).all()


@pytest.mark.parametrize("rates", SEQUENCES)
def test_the_form_by_position_is_the_one_printed(rates):
    a = [Fraction(rate) for rate in rates]
    printed = (len(a) + 1) * math.prod(a)
    printed += sum(k * (1 - a[k - 1]) * math.prod(a[: k - 1]) for k in range(1, len(a) + 1))
    assert theory.expected_tokens_by_position(rates) == pytest.approx(float(printed), rel=1e-14)


@pytest.mark.parametrize("alpha", [0, 1e-300, 1e-9, 0.3, 0.7, 1 - 1e-9, 1 - 2**-53, 1])
@pytest.mark.parametrize("gamma", [1, 2, 7, 100])
def test_expected_tokens_is_the_geometric_sum(alpha, gamma):
    exact = float(sum(Fraction(alpha) ** k for k in range(gamma + 1)))
    assert theory.expected_tokens(alpha, gamma) == pytest.approx(exact, rel=1e-13)
    assert theory.expected_tokens_by_position([alpha] * gamma) == pytest.approx(exact, rel=1e-12)


def test_limits_of_expected_tokens():
    assert theory.expected_tokens(0.9, 10**6) == pytest.approx(1 / (1 - 0.9))  # γ → ∞
    near = [theory.expected_tokens(1 - 10.0**-n, 8) for n in range(1, 16)]  # α → 1
    assert all(a < b for a, b in pairwise(near))
    assert near[-1] == pytest.approx(theory.expected_tokens(1, 8)) == 9


# --- How often drafts are rejected


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), st.sampled_from([1, 3, 16, 100, 2**16]))
def test_what_is_drafted_is_rejected_no_more_often_than_the_bound(data, size, total):
    q, p = (data.draw(over_magnitudes(size, least=-12, zeros=False)) for _ in range(2))
    kept = data.draw(st.integers(1, size))
    support = top_k(q, kept)
    sparse = np.zeros(size)
    sparse[support] = q[support] / q[support].sum()
    drafted = quantise(q, total, support).probabilities
    bound = theory.rejection_bound(q, p, support, total)
    assert theory.total_variation(drafted, p) <= bound.total + 1e-12
    assert theory.total_variation(q, sparse) == pytest.approx(bound.dropped, abs=1e-12)
    assert theory.total_variation(sparse, drafted) <= bound.rounding + 1e-12
    assert bound.total == bound.mismatch + bound.dropped + bound.rounding


def test_total_variation_is_how_often_a_draft_is_rejected():
    q, p = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    rejected = 1 - (q * np.minimum(1, p / q)).sum()
    assert theory.total_variation(q, p) == pytest.approx(rejected) == pytest.approx(0.4)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(1e-4, 2), st.floats(-1, 1), st.booleans()
)
def test_the_conformal_threshold_drops_no_more_than_the_bound(seed, target, step, first, spiteful):
    """Against streams of peaked and flat distributions, and one that always drops all it can."""
    rng = np.random.default_rng(seed)
    threshold = first = max(first, -step * (1 - target))
    dropped = 0.0
    for tokens in range(1, 200):
        if spiteful:
            mass = float(threshold > 0)
        else:
            q = rng.dirichlet(np.full(20, 10 ** rng.uniform(-2, 1)))
            mass = 1 - float(q[at_least(q, threshold)].sum())
        dropped += mass
        threshold -= step * (mass - target)
        bound = theory.conformal_bound(target, step, first, tokens)
        assert dropped / tokens <= bound + 1e-9


@given(st.floats(0, 1), st.floats(1e-4, 1), st.floats(-1, 1), st.integers(1, 10**6))
def test_the_conformal_bound_is_no_weaker_than_the_papers(target, step, first, tokens):
    first = max(first, -step * (1 - target))
    papers = target + (abs(first) + 1 + step * target) / (step * tokens)
    assert theory.conformal_bound(target, step, first, tokens) <= papers * (1 + 1e-12)


# --- Seconds per round


@pytest.mark.parametrize("alpha", ["0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99"])
@pytest.mark.parametrize("gamma", [2, 4, 6, 8])
def test_dssd_table_1(alpha, gamma):
    """1 - α^γ and E[T_comm], fp16 at 100 Mbit/s and T_NTT = 20 ms; the paper calls V b_p/R 8 ms."""
    rejected = 1 - Fraction(alpha) ** gamma
    exact = Fraction(20, 1000) + rejected * Fraction(OPT * 16, 100_000_000)
    costs = Costs(draft=0, verify=0, uplink=100e6, downlink=100e6, round_trip=0.02)
    seconds = theory.dssd_round_seconds(costs, float(alpha), gamma, OPT, 16)
    assert seconds == pytest.approx(float(exact), rel=1e-12)
    assert abs(seconds * 1e3 - float(20 + 8 * rejected)) < 0.05


def test_the_8_ms_of_dssd_table_1():
    assert pytest.approx(8e-3, rel=0.006) == OPT * 16 / 100e6
    assert pytest.approx(8e-3) == 50_000 * 16 / 100e6  # exact only for this vocabulary


@pytest.mark.parametrize(
    ("round_trip", "rate", "dsd", "dssd"),
    [
        (0.00, 100e6, 3.91, 0.01),
        (0.02, 100e6, 4.60, 0.62),
        (0.05, 10e6, 41.44, 1.55),
        (0.02, 50e6, 8.59, 0.62),
        (0.05, 50e6, 9.52, 1.55),
    ],
)
def test_dssd_table_2_is_31_rounds_of_fp32_whose_downlink_is_free(round_trip, rate, dsd, dssd):
    costs = Costs(draft=0, verify=0, uplink=rate, downlink=rate, round_trip=round_trip)
    assert 31 * theory.dsd_round_seconds(costs, 8, OPT, 32) == pytest.approx(dsd, abs=0.085)
    assert 31 * theory.round_seconds(costs, 8, 0, 0) == pytest.approx(dssd, abs=0.011)
    assert 31 * theory.dssd_round_seconds(costs, 0.61, 8, OPT, 16) > dssd + 0.2


def test_limits_of_dssd():
    costs = Costs(draft=0.001, verify=0.05, uplink=5e6, downlink=20e6, round_trip=0.03)
    compute = 8 * 0.001 + 0.05
    down = OPT * 16 / 20e6
    assert theory.dssd_round_seconds(costs, 1, 8, OPT, 16) == pytest.approx(compute + 0.03)
    assert theory.dssd_round_seconds(costs, 0, 8, OPT, 16) == pytest.approx(compute + down + 0.03)
    endless = theory.dssd_round_seconds(costs, 0.9, 10**4, OPT, 16)  # γ → ∞: every round rejects
    assert endless == pytest.approx(10**4 * 0.001 + 0.05 + down + 0.03)


def test_a_round_charges_every_bit():
    costs = Costs(draft=0.01, verify=0.1, uplink=1e6, downlink=2e6, round_trip=0.02)
    assert theory.round_seconds(costs, 3, 5e5, 4e5) == pytest.approx(0.03 + 0.1 + 0.5 + 0.2 + 0.02)
    alpha, gamma = 0.8, 4
    up = gamma * dssd_uplink_bits(OPT, 16)
    down = (1 - alpha**gamma) * dssd_downlink_bits(OPT, 16, gamma, rejected=True)
    down += alpha**gamma * dssd_downlink_bits(OPT, 16, gamma, rejected=False)
    printed = theory.dssd_round_seconds(costs, alpha, gamma, OPT, 16)
    charged = theory.round_seconds(costs, gamma, up, down)
    free = up / 1e6 + (3 + alpha**gamma * 16) / 2e6
    assert charged - printed == pytest.approx(free)


def test_qs_throughput():
    tokens = theory.expected_tokens_by_position([0.9, 0.8, 0.7])
    got = theory.qs_throughput(tokens, 0.1, 3, 5451 + 16, 4e6)
    assert got == pytest.approx(tokens / (0.1 + 3 * 5467 / 4e6))


# --- The best draft length

COSTS = (0.01, 0.1, 0.2, 0.4, 0.6)
TABLE_I = {0.4: (4, 2, 1, 1, 1), 0.6: (7, 3, 2, 1, 1), 0.8: (14, 6, 4, 2, 1)}
ALONE = {(0.4, 0.4), (0.4, 0.6), (0.6, 0.6)}


@pytest.mark.parametrize("alpha", TABLE_I)
@pytest.mark.parametrize("i", range(5))
def test_tk_slt_table_i(alpha, i):
    """γ* and where the target runs alone.

    (.4, .4) and (.6, .6) are ties: S(1) is exactly 1. The rule S(γ*) <= 1 leaves both to the
    target; the table marks only the second, whose S(1) comes out below 1 in floating point.
    """
    cost = COSTS[i]
    assert theory.optimal_draft_length(alpha, cost) == TABLE_I[alpha][i]
    assert theory.runs_alone(alpha, cost) == ((alpha, cost) in ALONE)


def test_the_two_ties_of_tk_slt_table_i():
    def in_floats(alpha, cost):
        return (1 - alpha**2) / ((1 - alpha) * (1 + cost))

    assert in_floats(0.4, 0.4) == 1
    assert in_floats(0.6, 0.6) < 1
    assert theory.speed_up(0.4, 1, 0.4) == pytest.approx(1, abs=1e-15)


def test_tk_slt_relative_costs():
    """L for K = 3 to V, Llama-2, fp16 at 50 Mbit/s, with c = .07 and b = .23 for all of V."""
    target = 32000 * 16 / 50e6 / 0.23
    costs = Costs(draft=0.07 * target, verify=target, uplink=50e6, downlink=50e6, round_trip=0)
    printed = {3: 0.0700, 32: 0.0702, 320: 0.0723, 3200: 0.093, 32000: 0.300}
    for kept, cost in printed.items():
        assert theory.relative_cost(costs, tk_slt_bits(kept, 16)) == pytest.approx(cost, abs=5e-5)


ALPHAS = (1e-300, 1e-12, 1e-3, 0.05, 0.2, 0.5, 0.75, 0.9, 0.99, 0.9999, 1 - 1e-6, 1 - 1e-9)
EXTREME_COSTS = (1e-299, 1e-100, 1e-12, 1e-4, 0.01, 0.1, 0.3, 0.6, 0.9, 0.999, 1 - 1e-9, 1, 1.5, 99)


def exact_speed_up(alpha, gamma, cost):
    alpha, cost = Decimal(alpha), Decimal(cost)
    return (1 - alpha ** (gamma + 1)) / ((1 - alpha) * (1 + gamma * cost))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("cost", EXTREME_COSTS)
def test_no_other_draft_length_is_better_at_extremes(alpha, cost):
    """S has one peak, so a γ that beats both neighbours is the best; 1000 digits decide."""
    gamma = theory.optimal_draft_length(alpha, cost)
    with localcontext() as context:
        context.prec = 1000
        best = exact_speed_up(alpha, gamma, cost)
        assert best >= exact_speed_up(alpha, gamma + 1, cost)
        assert gamma == 1 or best >= exact_speed_up(alpha, gamma - 1, cost)
        assert theory.runs_alone(alpha, cost) == (best <= 1)


@pytest.mark.slow
def test_no_other_draft_length_is_better_by_brute_force():
    gammas = np.arange(1, 2001, dtype=np.longdouble)
    for alpha in np.concatenate([np.linspace(0, 0.98, 50), [0.985, 0.99, 0.995]]):
        for cost in np.concatenate([np.logspace(-4, 0.3, 60), np.linspace(0.005, 1.2, 60)]):
            got = theory.optimal_draft_length(float(alpha), float(cost))
            a, c = np.longdouble(alpha), np.longdouble(cost)
            values = (1 - a ** (gammas + 1)) / ((1 - a) * (1 + gammas * c))
            assert got < 2000
            assert values[got - 1] >= values.max() * (1 - np.longdouble(1e-17))
            assert theory.speed_up(float(alpha), got, float(cost)) == pytest.approx(
                float(values.max()), rel=1e-12
            )
            if abs(alpha - cost) > 1e-12:
                assert theory.runs_alone(float(alpha), float(cost)) == (values.max() <= 1)


def test_the_peak_is_the_papers_closed_form():
    for alpha, cost in product((0.2, 0.4, 0.6, 0.8, 0.95), (0.02, 0.05, 0.1, 0.15)):
        w = lambertw(-(1 / math.e) * alpha ** (1 / cost - 1), k=-1).real
        printed = (w + 1) / math.log(alpha) - 1 / cost
        if math.isfinite(printed):  # α^(1/L - 1) is representable
            assert math.floor(printed) <= theory.optimal_draft_length(alpha, cost)
            assert theory.optimal_draft_length(alpha, cost) <= max(1, math.ceil(printed))


@pytest.mark.parametrize("s", [1e-6, 0.01, 0.5, 1, 5, 50, 500])
def test_the_lambert_excess_is_scipys(s):
    want = -1 - lambertw(-math.exp(-1 - s), k=-1).real
    assert theory._lambert_excess(s) == pytest.approx(want, rel=1e-7)


def test_no_draft_length_is_best_when_drafts_are_free_or_never_rejected():
    with pytest.raises(ValueError, match="α is 1; it must be below 1, or every longer"):
        theory.optimal_draft_length(1, 0.5)
    with pytest.raises(ValueError, match="L is 0; it must be above 0, or every longer"):
        theory.optimal_draft_length(0.5, 0)
    assert theory.optimal_draft_length(1, 1) == theory.optimal_draft_length(0, 0) == 1


# --- Break-even round trips


@pytest.mark.parametrize(("alpha", "ms"), [(0.7, 47), (0.85, 108), (0.9, 134)])
def test_break_even_table_of_speculation_at_a_distance(alpha, ms):
    assert round(theory.break_even_round_trip(alpha, 5, 0.010, 0.050) * 1e3) == ms


def test_break_even_is_infeasible_at_low_acceptance():
    assert theory.break_even_round_trip(0.5, 5, 0.010, 0.050) < 0


@given(st.floats(0, 1), st.integers(1, 20), st.floats(0, 0.1), st.floats(0.001, 0.2))
def test_break_even_is_the_time_a_round_leaves_over(alpha, gamma, draft, ar):
    bits, rate = 1000, 1e6
    rtt = theory.break_even_round_trip(alpha, gamma, draft, ar, on_air=bits / rate)
    costs = Costs(draft, ar, rate, rate, round_trip=0)
    spare = theory.expected_tokens(alpha, gamma) * ar - theory.round_seconds(costs, gamma, bits, 0)
    assert spare == pytest.approx(rtt, abs=1e-12)


def test_break_even_against_the_same_round_in_the_cloud():
    rtt = theory.break_even_round_trip_colocated(5, 0.004, 0.010, on_air=0.002)
    assert rtt == pytest.approx(0.028)
    device = Costs(0.004, 0.05, 1e6, 1e6, rtt)
    cloud = Costs(0.010, 0.05, 1e6, 1e6, 0)
    assert theory.round_seconds(device, 5, 2000, 0) == pytest.approx(
        theory.round_seconds(cloud, 5, 0, 0)
    )
    assert theory.break_even_round_trip_colocated(5, 0.010, 0.010) == 0  # no faster: never


# --- Bad input

HALF = np.array([0.5, 0.5])
FREE = Costs(0, 0, 1, 1, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.expected_tokens(1.1, 4), "α is 1.1; it must be from 0 to 1"),
        (lambda: theory.expected_tokens(math.nan, 4), "α is nan; it must be from 0 to 1"),
        (lambda: theory.expected_tokens(0.5, 0), "γ is 0; it must be at least 1"),
        (lambda: theory.tokens_law([]), "γ is 0; it must be at least 1"),
        (lambda: theory.tokens_law([0.5, -0.1]), "a_k is -0.1; it must be from 0 to 1"),
        (
            lambda: theory.rejection_bound(HALF, HALF, np.arange(3), 10),
            "K is 3; it must be from 1 to V = 2",
        ),
        (lambda: theory.rejection_bound(HALF, HALF, np.arange(2), 0), "ℓ is 0; it must be at"),
        (
            lambda: theory.rejection_bound(HALF, np.ones(1), np.arange(2), 9),
            "the size of p is 1; it must be that of q, 2",
        ),
        (lambda: theory.conformal_bound(2, 0.1, 0, 9), "α is 2; it must be from 0 to 1"),
        (lambda: theory.conformal_bound(0.1, 0, 0, 9), "η is 0; it must be above 0"),
        (lambda: theory.conformal_bound(0.1, 0.1, -1, 9), "β_1 is -1; it must be at least"),
        (lambda: theory.conformal_bound(0.1, 0.1, 0, 0), "T is 0; it must be at least 1"),
        (lambda: Costs(-1, 0, 1, 1, 0), "T_SLM is -1; it must be 0 or more"),
        (lambda: Costs(0, 0, 0, 1, 0), "R_up is 0; it must be above 0"),
        (lambda: theory.round_seconds(FREE, 0, 1, 1), "γ is 0; it must be at least 1"),
        (lambda: theory.round_seconds(FREE, 1, -1, 1), "number of bits is -1; it must be 0"),
        (lambda: theory.qs_throughput(1, 0, 1, 1, 1), "T is 0; it must be above 0"),
        (lambda: theory.dsd_round_seconds(FREE, 1, 0, 16), "V is 0; it must be at least 1"),
        (lambda: theory.dssd_round_seconds(FREE, -1, 1, 10, 16), "α is -1"),
        (lambda: theory.qs_throughput(1, 1, 1, 1, 0), "R is 0; it must be above 0"),
        (lambda: theory.relative_cost(FREE, 1), "T_LLM is 0; it must be above 0"),
        (lambda: theory.speed_up(0.5, 1, -1), "L is -1; it must be 0 or more"),
        (lambda: theory.optimal_draft_length(2, 0.1), "α is 2; it must be from 0 to 1"),
        (lambda: theory.break_even_round_trip(0.5, 1, -1, 1), "a time is -1; it must be 0 or"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
