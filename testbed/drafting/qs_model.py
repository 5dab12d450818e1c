"""γ and ℓ of each draft from what they cost and gain: QS (arXiv 2507.00605) without learning a Q.

The paper's throughput model is TP = E[N] / E[T] with, for a round of γ drafts,

    E[N] = 1 + Σ_{k<=γ} Π_{j<=k} a_j,   T = T_0 + Σ_{j<=γ} (T_SLM + c_j),
    c_j = b_j (1/R + T_b) + T_v,

where a_j is the probability that the j-th draft is accepted if those before it are, b_j its bits, R
the uplink's rate, T_b what the codec takes for a bit at both ends, T_v what the verifier works
longer for one draft more. T_0 is all else, round trip and downlink included. The paper's T has the
time to draft and to verify as a whole, b_j / R and, by notes on it though not in the authors' code,
the downlink.

**Rule.** Rounds follow one another, so what counts is all tokens over all seconds. A policy has the
largest such ratio θ exactly when it makes E[N] - θ E[T] as large as can be in every round (renewal
reward; Dinkelbach 1967): a second is worth θ tokens. Let S = Π a_i over the round's drafts so far.
Adding a draft with denominator ℓ gains

    S a(ℓ) - θ c(ℓ) + G(S a(ℓ)),   G(S) = max(0, E[max(0, max_ℓ S a(ℓ) - θ c(ℓ))] - θ T_SLM),

G being what further drafting is worth, looking one draft ahead. That is enough: S only falls, and
so, with costs alike, does the gain of each later draft. The device therefore
- computes another q only while G(S) > 0, with E taken over the last contexts it has seen;
- then takes the ℓ with the largest gain, and stops unless that is above 0.
The first draft of a round is always made: QS has γ >= 1, and no draft teaches nothing.

**Acceptance.** TV(q, q̂) bounds what quantising costs, far above what it does cost: a token whose
count is rounded up is accepted as before where p exceeds q anyway. So a draft model is taken to be
right about a part α of its mass, where p = q/α, and wrong about the rest, where p = 0. A draft from
q̂ is then accepted with probability

    a(ℓ) = Σ_x min(α q̂(x), q(x)),   α (1 - TV(q, q̂)) <= a(ℓ) <= α,

which the device can compute. α is predicted from max q, how sure the draft model is: a kernel mean
over the verified drafts of this generation, beginning from the line 0.4 + 0.6 max q.

**Costs.** Rate and fixed costs: testbed.drafting.link_estimator. T_v and T_b: a plane through the
verifier's times; decoding ends with encoding again, so that the device is taken to need half as
much a bit. θ: recent tokens over recent seconds, their bytes billed at the rate of now.

All is decided before the draw it is about: the tokens depend on the clock, their distribution
never.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.decoding.sampling import Probabilities
from testbed.drafting.base import Length, RoundOutcome
from testbed.drafting.link_estimator import ExponentialAverage, LinkEstimator
from testbed.drafting.resolution import ChoosesResolution, ChoosingOptions, Resolution

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]

CONTEXTS = 32
"""Number of the last contexts that stand for those to come."""
TESTS = 256
"""Number of the last verified drafts that α is predicted from."""
WIDTH = 0.1
"""Standard deviation of the kernel over max q."""
GUESS, GUESSED_TESTS = (0.4, 0.6), 3.0
"""α = 0.4 + 0.6 max q before any verification, and how many of these that is worth."""
ROUNDS_KEEP = 0.95
SLOPES_EVERY = 4
"""Rounds from one look at the verifier's times to the next."""


class QsModel(ChoosingOptions, frozen=True, tag="qs_model"):
    """The options of QS's throughput model."""

    summary = "γ and each draft's ℓ by QS's throughput model"
    paper = "arXiv 2507.00605"

    first: Length = 3
    """The draft length of the first rounds, in which times are measured, e.g. 3."""
    longest: Length = 16
    """The largest draft length, e.g. 16."""

    @override
    def start(self, resolutions: Sequence[Resolution]) -> ChoosesResolution:
        return _QsModel(self, resolutions)


class Certainty:
    """α, the part of a draft model's mass that it is right about, from how sure it is."""

    def __init__(self) -> None:
        self._sure, self._accepted = np.zeros(TESTS), np.zeros(TESTS)
        self._count = 0

    def add(self, sure: float, accepted: float) -> None:
        """Add a verified draft: max q, and 1 or 0, divided by the factor of α in its a(ℓ)."""
        place = self._count % TESTS
        self._sure[place], self._accepted[place] = sure, accepted
        self._count += 1

    def predict(self, sure: float) -> float:
        """Return α of a context, by its max q."""
        tests = min(self._count, TESTS)
        near = np.exp(-0.5 * ((self._sure[:tests] - sure) / WIDTH) ** 2)
        amount = GUESSED_TESTS * (GUESS[0] + GUESS[1] * sure) + float(near @ self._accepted[:tests])
        return min(max(amount / (GUESSED_TESTS + float(near.sum())), 0.02), 1.0)


def quantised(q: Probabilities, totals: Counts, alpha: float) -> tuple[Numbers, Counts]:
    """Return a(ℓ) and the number of tokens with a count in q̂, for each ℓ of `totals`; shape [L].

    `q` has shape [V]. As testbed.decoding.lattice.quantise, for all ℓ at once and without tokens
    so unlikely that they hardly ever have a count.
    """
    likely = q[np.flatnonzero(q >= 0.25 / totals.max())]
    scaled = totals[:, None] * likely
    counts = np.floor(scaled + 0.5)
    missing = (totals - counts.sum(axis=1))[:, None]
    places = np.arange(likely.size)
    change = (places < missing) * 1.0 - (places >= likely.size + missing)
    order = np.argsort(counts - scaled, axis=1)
    changed = np.take_along_axis(counts, order, axis=1) + change
    np.put_along_axis(counts, order, changed, axis=1)
    acceptance: Numbers = np.minimum(alpha * counts, scaled).sum(axis=1) / totals
    return acceptance, np.asarray(np.count_nonzero(counts, axis=1))


class _Prices(NamedTuple):
    """Costs in tokens, θ times seconds."""

    bit: float
    draft: float
    verifying: float


class _Drafted(NamedTuple):
    """Kept of a draft until it is verified."""

    sure: float
    kept: float
    """a(ℓ) / α."""


class _QsModel(ChoosesResolution):
    def __init__(self, options: QsModel, resolutions: Sequence[Resolution]) -> None:
        self._options = options
        self._resolutions = resolutions
        self._totals = np.array([each.total for each in resolutions])
        self._certainty = Certainty()
        self._link = LinkEstimator(acceptance=0.5)
        self._rounds: deque[RoundOutcome] = deque(maxlen=CONTEXTS)
        self._slopes = (0.0, 0.0)  # T_v and T_b
        self._count = 0
        self._tokens, self._seconds, self._bytes = (
            ExponentialAverage(ROUNDS_KEEP) for _ in range(3)
        )
        # Of the last contexts a(ℓ) and bits for each ℓ, shape [contexts, L] when stacked.
        self._contexts: deque[tuple[Numbers, Numbers]] = deque(maxlen=CONTEXTS)
        self._others: tuple[Numbers, Numbers] = (np.zeros((0, 1)), np.zeros((0, 1)))
        self._drafted: list[_Drafted] = []
        self._prices: _Prices | None = None
        self._reach = 1.0  # S
        self._started = False

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        if not drafts:
            self._begin()
            return True
        if len(drafts) >= self._options.longest:
            return False
        if self._prices is None:
            return len(drafts) < self._options.first
        return float(self._ahead(np.array([self._reach]), self._prices)[0]) > 0

    @override
    def choose(self, q: Probabilities) -> int | None:
        sure = float(q.max())
        alpha = self._certainty.predict(sure)
        acceptance, used = quantised(q, self._totals, alpha)
        bits = np.array([r.bits(int(m)) for r, m in zip(self._resolutions, used, strict=True)])
        self._contexts.append((acceptance, bits))
        choice, gain = len(self._totals) // 2, 1.0
        if self._prices is not None:
            reach = self._reach * acceptance
            gains = reach - bits * self._prices.bit - self._prices.verifying
            gains += self._ahead(reach, self._prices)
            choice = int(gains.argmax())
            gain = float(gains[choice])
        if self._drafted and not gain > 0:
            return None
        self._reach *= float(acceptance[choice])
        self._drafted.append(_Drafted(sure, float(acceptance[choice]) / alpha))
        return self._resolutions[choice].total

    @override
    def learn(self, outcome: RoundOutcome) -> None:
        for place, draft in enumerate(self._drafted[: outcome.verified]):
            self._certainty.add(draft.sure, (place < outcome.accepted) / draft.kept)
        self._link.learn(outcome)
        if self._started:  # the first round also waits until both ends have read the prompt
            self._rounds.append(outcome)
            self._count += 1
            if self._count % SLOPES_EVERY == 0:
                self._slopes = self._verifying()
            self._tokens.add(outcome.accepted + 1, 1)
            self._seconds.add(outcome.draft_s + outcome.verifier_s, 1)
            self._bytes.add(outcome.uplink_bytes, 1)
        self._started = True

    def _begin(self) -> None:
        """Set the prices of this round."""
        self._reach = 1.0
        self._drafted = []
        fixed_s, uplink = self._link.network
        draft_s = self._link.draft_s
        tokens, seconds, size = self._tokens.mean, self._seconds.mean, self._bytes.mean
        if uplink is None or fixed_s is None or draft_s is None:
            return
        assert tokens is not None and seconds is not None and size is not None
        worth = tokens / max(seconds + fixed_s + size / uplink, 1e-9)  # θ
        verifying, coding = self._slopes
        self._prices = _Prices(
            worth * (1 / (8 * uplink) + coding), worth * draft_s, worth * verifying
        )
        acceptance, bits = (np.stack(each) for each in zip(*self._contexts, strict=True))
        self._others = (acceptance, bits * self._prices.bit + self._prices.verifying)

    def _verifying(self) -> tuple[float, float]:
        """Return T_v and T_b."""
        rounds = np.array(
            [(each.drafted, each.uplink_payload_bits, each.verifier_s) for each in self._rounds]
        )
        drafted, bits, seconds = (rounds - rounds.mean(axis=0)).T
        # What is added keeps few rounds of almost one length from giving slopes.
        squares = np.array(
            [[drafted @ drafted + 1.0, drafted @ bits], [drafted @ bits, bits @ bits + 1e4]]
        )
        a_draft, a_bit = np.linalg.solve(squares, np.array([drafted @ seconds, bits @ seconds]))
        return max(0.0, float(a_draft)), max(0.0, 1.5 * float(a_bit))

    def _ahead(self, reach: Numbers, prices: _Prices) -> Numbers:
        """Return G(S) for each S of `reach`."""
        acceptance, costs = self._others
        gains = reach[:, None, None] * acceptance - costs
        worth: Numbers = np.maximum(gains.max(axis=2), 0.0).mean(axis=1) - prices.draft
        return np.maximum(worth, 0.0)
