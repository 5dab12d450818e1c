"""The guarantee of C-SQS's threshold, on streams that try to break it, and with drafts undone."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.decoding.conformal import OnlineThreshold
from testbed.events import Tracer
from testbed.methods.csqs import Csqs
from tests.support.toy import decode_locally, similar_models, task, with_method

STEPS = 10_000
V = 200


def allowed(alpha: float, eta: float, first: float, steps) -> np.ndarray:
    """Return the probability that may be dropped at most on average after so many drafts."""
    return alpha + (first + eta * (1 - alpha)) / (eta * np.asarray(steps))


def one_hot() -> np.ndarray:
    return np.bincount([3], minlength=V) / 1.0


def just_below(threshold: float) -> np.ndarray:
    """Return the q that drops most: as many tokens as fit stay just below the threshold."""
    each = min(np.nextafter(threshold, 0), 1 / V) if threshold > 0 else 0.0
    q = np.full(V, each)
    q[0] = 1 - q[1:].sum()
    return q


def adversary(step, threshold, rng):
    return just_below(threshold)


def lulled(step, threshold, rng):
    """Long quiet times, in which the threshold rises, before every attack."""
    return one_hot() if step % 1000 < 900 else just_below(threshold)


def alternating(step, threshold, rng):
    return one_hot() if step % 2 else np.full(V, 1 / V)


def flat(step, threshold, rng):
    return np.full(V, 1 / V)


def peaked(step, threshold, rng):
    return rng.dirichlet(np.full(V, 0.02))


def mixed(step, threshold, rng):
    return rng.dirichlet(np.full(V, rng.choice([0.01, 0.1, 1.0, 10.0])))


STREAMS = [adversary, lulled, alternating, flat, peaked, mixed]
PARAMETERS = [(5e-4, 1e-3, 1e-3), (0.05, 0.1, 0.3), (0.2, 0.5, 0.0), (0.01, 0.01, 1.0)]


def dropped_by(threshold: OnlineThreshold, q: np.ndarray) -> float:
    kept = np.zeros(q.size, bool)
    kept[threshold.support(q)] = True
    return float(q[~kept].sum())


@pytest.mark.parametrize(("alpha", "eta", "first"), PARAMETERS)
@pytest.mark.parametrize("stream", STREAMS)
def test_the_mean_dropped_mass_keeps_to_the_guarantee(stream, alpha, eta, first):
    """After every single one of 10,000 drafts, not only at the end."""
    rng = np.random.default_rng(1)
    threshold = OnlineThreshold(alpha, eta, first)
    dropped = np.empty(STEPS)
    lowest = first
    for step in range(STEPS):
        dropped[step] = dropped_by(threshold, stream(step, threshold.threshold, rng))
        threshold.settle(1)
        lowest = min(lowest, threshold.threshold)
    steps = np.arange(1, STEPS + 1)
    mean = np.cumsum(dropped) / steps
    assert (mean <= allowed(alpha, eta, first, steps) + 1e-9).all()
    assert lowest >= -eta * (1 - alpha) - 1e-12
    # What the guarantee is made of: the threshold tells all that was ever dropped.
    spent = eta * (dropped - alpha).sum()
    assert threshold.threshold == pytest.approx(first - spent, abs=1e-9)


def test_the_guarantee_is_no_empty_promise():
    """An adversary comes close to it, and a threshold that never moves breaks it."""
    alpha, eta, first = 0.05, 0.1, 0.3
    threshold, fixed = OnlineThreshold(alpha, eta, first), OnlineThreshold(alpha, 0.0, first)
    means = []
    for each in (threshold, fixed):
        total = 0.0
        for _ in range(2000):
            total += dropped_by(each, just_below(each.threshold))
            each.settle(1)
        means.append(total / 2000)
    limit = allowed(alpha, eta, first, 2000)
    assert 0.9 * alpha < means[0] <= limit
    assert means[1] > 10 * limit


def test_the_update_by_hand():
    threshold = OnlineThreshold(alpha=0.1, eta=0.5, first=0.2)
    assert threshold.support(np.array([0.7, 0.2, 0.1])).tolist() == [0, 1]
    assert threshold.threshold == pytest.approx(0.2)  # dropped 0.1, as much as it may
    assert threshold.support(np.array([0.15, 0.7, 0.15])).tolist() == [1]
    assert threshold.threshold == pytest.approx(0.1)  # dropped 0.3
    assert threshold.support(np.array([1.0, 0.0, 0.0])).tolist() == [0]
    assert threshold.threshold == pytest.approx(0.15)
    assert threshold.support(np.array([0.1, 0.1, 0.8])).tolist() == [2]
    assert threshold.threshold == pytest.approx(0.1)


def test_below_0_everything_is_kept_and_the_threshold_rises():
    threshold = OnlineThreshold(alpha=0.1, eta=1.0, first=0.05)
    uniform = np.full(100, 0.01)
    assert threshold.support(uniform).size == 1
    assert threshold.threshold == pytest.approx(0.05 - 0.89)
    for _ in range(8):
        assert threshold.support(uniform).size == 100
    assert threshold.threshold == pytest.approx(0.05 - 0.89 + 0.8)


@pytest.mark.parametrize("accepted", [0, 1, 2, 3])
def test_discarded_drafts_are_undone(accepted):
    """Also a draft that was quantised and then not made: the fourth, behind three."""
    rng = np.random.default_rng(2)
    qs = rng.dirichlet(np.ones(5), size=4)
    threshold, alone = (OnlineThreshold(0.1, 0.3, 0.25) for _ in range(2))
    for q in qs:
        threshold.support(q)
    for q in qs[:accepted]:
        alone.support(q)
    threshold.settle(accepted)
    assert threshold.threshold == alone.threshold
    threshold.settle(0)  # a round without drafts changes nothing
    assert threshold.threshold == alone.threshold


class Forgetful(OnlineThreshold):
    """Keeps what it learned from discarded drafts."""

    def settle(self, accepted):
        super().settle(len(self._states) - 1)


@pytest.mark.parametrize("kind", [OnlineThreshold, Forgetful])
def test_without_undoing_the_guarantee_is_broken(kind):
    """One draft of four stands. The others drop nothing, and would lull the threshold."""
    alpha, eta, first, rounds = 0.05, 0.1, 0.1, 2000
    threshold = kind(alpha, eta, first)
    total = 0.0
    for _ in range(rounds):
        total += dropped_by(threshold, just_below(threshold.threshold))
        for _ in range(3):
            dropped_by(threshold, one_hot())
        threshold.settle(1)
    limit = allowed(alpha, eta, first, rounds)
    if kind is OnlineThreshold:
        assert total / rounds <= limit
    else:
        assert total / rounds > 2 * limit


# On a device, with drafts that are rejected.

ALPHA, ETA, FIRST, TOKENS = 0.05, 0.05, 0.1, 2000


class Watched(Csqs):
    """Notes every draft that stands: the q before and the q̂ after quantising."""

    name = "watched"
    kind = OnlineThreshold
    kept: list
    """Of each draft that stands: q and the support."""
    rejected: int
    last: float

    def make_codec(self):
        codec = super().make_codec()
        self._threshold.__class__ = self.kind
        return codec

    def quantise(self, q):
        lattice = super().quantise(q)
        self.round.append((q, lattice.support))
        return lattice

    def settle(self, drafts, accepted):
        super().settle(drafts, accepted)
        cls = type(self)
        cls.kept += self.round[:accepted]
        cls.rejected += len(drafts) - accepted
        cls.last = self._threshold.threshold
        self.round = []

    def device(self, device):
        self.round = []
        cls = type(self)
        cls.kept, cls.rejected = [], 0
        return super().device(device)


class WatchedForgetful(Watched):
    name = "watched_forgetful"
    kind = Forgetful


def run_watched(method):
    options = {"alpha": ALPHA, "eta": ETA, "first_threshold": FIRST, "draft_length": 4}
    with with_method(method):
        return decode_locally(task(method.name, TOKENS, **options), *similar_models(30, 0.6))


@pytest.mark.parametrize("method", [Watched, WatchedForgetful])
def test_the_threshold_is_a_function_of_the_drafts_that_stand(monkeypatch, method):
    """On a device whose drafts get rejected: recomputed afterwards from the kept drafts alone."""
    monkeypatch.setattr(Tracer, "event", lambda *args, **fields: None)
    counts = run_watched(method).counts
    assert counts.accepted > TOKENS / 4
    assert method.rejected > TOKENS / 10
    replayed = OnlineThreshold(ALPHA, ETA, FIRST)
    agrees = all(np.array_equal(replayed.support(q), kept) for q, kept in method.kept)
    assert agrees == (method is Watched)
    assert (replayed.threshold == method.last) == (method is Watched)


def test_a_device_keeps_to_the_guarantee(monkeypatch):
    monkeypatch.setattr(Tracer, "event", lambda *args, **fields: None)
    run_watched(Watched)
    dropped = [1 - q[kept].sum() for q, kept in Watched.kept]
    mean = np.cumsum(dropped) / np.arange(1, len(dropped) + 1)
    assert (mean <= allowed(ALPHA, ETA, FIRST, np.arange(1, len(dropped) + 1)) + 1e-9).all()
    assert mean[-1] > ALPHA / 2
