"""The rule that chooses γ and ℓ from their costs: what it reacts to, and what it gains."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import quantise
from testbed.drafting.qs_model import Certainty, QsModel, quantised
from testbed.drafting.resolution import Resolution
from tests.drafting.rounds import ROUND, draft

V = 400
TOTALS = [4, 12, 40, 200]
RESOLUTIONS = [Resolution(total, SparseLattice(total, V).bits) for total in TOTALS]
RANKS = np.arange(1, V + 1)


def pair(alpha: float, power: float):
    """p and q of one kind of context: q is right about a part α of its mass."""
    p = RANKS**-power / np.sum(RANKS**-power)
    q = alpha * p + (1 - alpha) * np.roll(p, V // 2)
    return p, q


class World:
    """Contexts of two kinds, a link, and rounds that a policy or a fixed (γ, ℓ) decides on."""

    def __init__(self, pairs, *, rate, draft_s=0.002, fixed_s=0.02, verifying=0.0):
        self.laws = [q for _, q in pairs]
        self.rate, self.draft_s, self.fixed_s, self.verifying = rate, draft_s, fixed_s, verifying
        self.accepted = {}
        self.bits = {}
        for (kind, (p, q)), total in product(enumerate(pairs), TOTALS):
            lattice = quantise(q, total)
            overlap = np.minimum(p, lattice.probabilities).sum()
            self.accepted[kind, total] = overlap
            used = int(np.count_nonzero(lattice.counts))
            self.bits[kind, total] = SparseLattice(total, V).bits(used)

    def seconds(self, computed, drafted, bits):
        upload = (bits / 8 + 40) * 8 / self.rate
        return computed * self.draft_s + self.fixed_s + drafted * self.verifying + upload

    def play(self, policy, rounds: int, seed: int = 0):
        """Tokens and seconds of the rounds, and each round's (kinds, totals)."""
        rng = np.random.default_rng(seed)
        tokens, seconds, log = 0, 0.0, []
        for _ in range(rounds):
            kinds, totals, computed = [], [], 0
            while policy.more([draft(1.0)] * len(kinds)):
                kind = int(rng.integers(len(self.laws)))
                total, computed = policy.choose(self.laws[kind]), computed + 1
                if total is None:
                    break
                kinds.append(kind)
                totals.append(total)
            bits = sum(self.bits[each] for each in zip(kinds, totals, strict=True))
            tests = [rng.random() < self.accepted[each] for each in zip(kinds, totals, strict=True)]
            accepted = tests.index(False) if False in tests else len(tests)
            time = self.seconds(computed, len(kinds), bits)
            work = len(kinds) * self.verifying
            policy.learn(
                replace(
                    ROUND,
                    drafted=len(kinds),
                    accepted=accepted,
                    verified=min(accepted + 1, len(kinds)),
                    draft_s=computed * self.draft_s,
                    wait_s=time - computed * self.draft_s,
                    verifier_s=work,
                    uplink_bytes=int(bits / 8 + 40),
                    uplink_payload_bits=int(bits),
                )
            )
            tokens, seconds = tokens + accepted + 1, seconds + time
            log.append((kinds, totals))
        return tokens / seconds, log

    def best_static(self) -> float:
        """Tokens per second of the best (γ, ℓ), exactly."""
        kinds = range(len(self.laws))
        found = []
        for gamma, total in product(range(1, 17), TOTALS):
            a = np.mean([self.accepted[kind, total] for kind in kinds])
            bits = gamma * np.mean([self.bits[kind, total] for kind in kinds])
            expected = sum(a**k for k in range(gamma + 1))
            found.append(expected / self.seconds(gamma, gamma, bits))
        return max(found)


def start(**options):
    return QsModel(**options).start(RESOLUTIONS)


SURE, UNSURE = pair(0.97, 2.5), pair(0.3, 1.4)


def test_it_beats_the_best_static_where_contexts_differ():
    for rate, gain in ((1e5, 1.01), (1e6, 1.03)):
        world = World([SURE, UNSURE], rate=rate)
        assert world.play(start(), 1500)[0] > gain * world.best_static()


@pytest.mark.slow
def test_it_is_not_far_from_the_best_static_where_all_contexts_are_alike():
    for rate in (1e5, 1e6):
        for kind in (SURE, UNSURE, pair(0.7, 1.5)):
            world = World([kind], rate=rate)
            assert world.play(start(), 500)[0] > 0.93 * world.best_static()


def test_drafts_end_where_the_draft_model_is_unsure():
    _, log = World([SURE, UNSURE], rate=3e5).play(start(), 600)
    settled = [kinds for kinds, _ in log[100:]]
    behind = {kind: [] for kind in (0, 1)}
    for kinds in settled:
        for kind, following in zip(kinds, [*kinds[1:], None], strict=True):
            behind[kind].append(following is not None)
    assert np.mean(behind[0]) > np.mean(behind[1]) + 0.3


def test_a_slow_link_has_coarser_lattices_and_shorter_drafts():
    means = []
    for rate in (5e4, 5e5, 2e7):
        _, log = World([SURE, pair(0.7, 1.5)], rate=rate).play(start(), 400)
        settled = log[100:]
        totals = np.mean([total for _, totals in settled for total in totals])
        means.append((totals, np.mean([len(kinds) for kinds, _ in settled])))
    assert means[0][0] < means[1][0] < means[2][0]
    assert means[0][1] < means[2][1]


def test_it_follows_a_link_that_changes():
    policy = start()
    fast, slow = (World([SURE], rate=rate) for rate in (2e7, 5e4))
    _, log = fast.play(policy, 200)
    fine = np.mean([total for _, totals in log[100:] for total in totals])
    _, log = slow.play(policy, 30)
    assert np.mean([total for _, totals in log[5:] for total in totals]) < fine / 2


def test_what_the_verifier_works_longer_for_a_draft_shortens_them():
    lengths = []
    for verifying in (0.0, 0.02):
        _, log = World([SURE], rate=1e6, verifying=verifying).play(start(), 300)
        lengths.append(np.mean([len(kinds) for kinds, _ in log[100:]]))
    assert lengths[1] < lengths[0] - 1


@pytest.mark.parametrize("options", [{}, {"first": 2, "longest": 5}, {"first": 9, "longest": 4}])
def test_there_is_always_a_draft_and_never_more_than_the_longest(options):
    lengths = set()
    for kinds in ([SURE], [pair(0.02, 1.2)]):
        for draft_s in (1e-4, 0.1):
            _, log = World(kinds, rate=1e5, draft_s=draft_s).play(start(**options), 60)
            lengths |= {len(kinds) for kinds, _ in log}
            assert len(log[0][0]) == min(options.get("first", 3), options.get("longest", 16))
    assert min(lengths) == 1
    assert max(lengths) == options.get("longest", 16)


def test_certainty_begins_with_the_guess_and_follows_the_tests_nearby():
    certainty = Certainty()
    assert certainty.predict(0.5) == pytest.approx(0.7)
    for _ in range(100):
        certainty.add(0.2, 0.0)
        certainty.add(0.8, 1.0)
    assert certainty.predict(0.2) < 0.05
    assert certainty.predict(0.8) > 0.95
    assert 0.02 <= certainty.predict(0.0) <= certainty.predict(1.0) <= 1


@pytest.mark.parametrize("power", [0.6, 1.2, 2.5])
@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0])
def test_what_quantising_would_do_is_known_for_all_resolutions_at_once(alpha, power):
    for seed in range(5):
        q = np.random.default_rng(seed).dirichlet(50 * RANKS**-power)
        acceptance, used = quantised(q, np.array(TOTALS), alpha)
        for place, total in enumerate(TOTALS):
            lattice = quantise(q, total)
            wanted = np.minimum(alpha * lattice.probabilities, q).sum()
            assert acceptance[place] == pytest.approx(wanted, abs=0.01)
            assert used[place] == pytest.approx(np.count_nonzero(lattice.counts), abs=2)


def test_acceptance_is_right_where_the_draft_model_is_right_about_a_part():
    """The docstring's a(ℓ), against the overlap of p and q̂ of such a pair, and against TV."""
    alpha = 0.6
    p = np.where(RANKS % 2, RANKS**-1.5, 0)
    p /= p.sum()
    q = alpha * p + (1 - alpha) * np.roll(p, 1)
    for total in TOTALS:
        q_hat = quantise(q, total).probabilities
        a = np.minimum(alpha * q_hat, q).sum()
        distance = np.abs(q - q_hat).sum() / 2
        assert alpha * (1 - distance) - 1e-12 <= a <= alpha + 1e-12
        # Which tokens are right is taken to be chance; here the likeliest one is.
        assert abs(a - np.minimum(p, q_hat).sum()) < 0.1
