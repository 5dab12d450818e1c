"""Predictions of the papers' formulas: tokens per round, seconds per round, the best draft length.

Notation, used throughout: α is the probability that one drafted token is accepted, independently
of the others; γ is the number of tokens drafted per round; N is the number of tokens a round emits,
the one after the accepted drafts included. Times are in seconds, rates in bit/s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.decoding.bit_counts import dsd_bits, require
from testbed.decoding.sampling import Probabilities

# --- Tokens per round -----------------------------------------------------------------------------


def expected_tokens(alpha: float, gamma: int) -> float:
    """E[N] = (1 - α^(γ+1)) / (1 - α); γ + 1 at α = 1 (Leviathan et al., arXiv 2211.17192)."""
    _check_rate(alpha)
    _check_length(gamma)
    if alpha == 1:
        return gamma + 1.0
    return 1.0 if alpha == 0 else -math.expm1((gamma + 1) * math.log(alpha)) / (1 - alpha)


def tokens_law(rates: Sequence[float]) -> Probabilities:
    """P(N = 1), …, P(N = γ+1), shape [γ+1], when draft k is accepted with probability a_k.

    P(N = k) = (1 - a_k) Π_{j<k} a_j for k <= γ; P(N = γ+1) = Π_j a_j.
    """
    _check_length(len(rates))
    for rate in rates:
        _check_rate(rate, "a_k")
    reached = np.concatenate([[1.0], np.cumprod(rates)])
    law: Probabilities = reached - np.append(reached[1:], 0.0)
    return law


def expected_tokens_by_position(rates: Sequence[float]) -> float:
    """E[N] = Σ_{k=1..γ} k (1 - a_k) Π_{j<k} a_j + (γ+1) Π_j a_j (QS, arXiv 2507.00605)."""
    law = tokens_law(rates)
    return float(np.arange(1, law.size + 1) @ law)


# --- How often drafts are rejected ----------------------------------------------------------------


def total_variation(q: Probabilities, p: Probabilities) -> float:
    """TV(q, p) = ½ Σ |q - p|; a draft from q is rejected with this probability."""
    apart = q - p
    return 0.5 * float(np.abs(apart, out=apart).sum())


@dataclass(frozen=True)
class RejectionBound:
    """The sources of rejections, each at most; `total` bounds their probability TV(q̂, p)."""

    mismatch: float  # TV(q, p): the models disagree
    dropped: float  # a = 1 - Σ_support q: tokens that are not sent
    rounding: float  # K / (4ℓ): K tokens on a lattice with denominator ℓ

    @property
    def total(self) -> float:
        """TV(q, p) + a + K/(4ℓ)."""
        return self.mismatch + self.dropped + self.rounding


def rejection_bound(
    q: Probabilities, p: Probabilities, support: NDArray[np.int64], total: int
) -> RejectionBound:
    """TV(q̂, p) <= TV(q, p) + a + K/(4ℓ) (SQS, arXiv 2510.09942).

    q̂ is q, shape [V], truncated to the K distinct ids of `support`, scaled up again and rounded to
    `total` = ℓ. The terms are TV(q, p), TV(q, q̃) and a bound on TV(q̃, q̂) (Reznik, DCC 2011).
    """
    require(p.shape == q.shape, "the size of p", p.size, f"that of q, {q.size}")
    require(1 <= support.size <= q.size, "K", support.size, f"from 1 to V = {q.size}")
    require(total >= 1, "ℓ", total, "at least 1")
    dropped = max(0.0, 1.0 - float(q[support].sum()))
    return RejectionBound(total_variation(q, p), dropped, support.size / (4 * total))


def conformal_bound(target: float, step: float, first: float, tokens: int) -> float:
    """(1/T) Σ a_n <= α + (β_1 + η(1-α)) / (ηT): the mass C-SQS drops (arXiv 2510.09942).

    The paper's own α + (|β_1| + 1 + ηα) / (ηT) is no smaller where η(1-2α) <= 1.
    Here α is the `target` of the mass a_n dropped at token n, η is the `step` of the threshold
    β_{n+1} = β_n - η(a_n - α), β_1 its `first` value and T the number of `tokens`.
    """
    _check_rate(target)
    require(step > 0, "η", step, "above 0")
    overshoot = step * (1 - target)  # β never falls further below 0: there nothing is dropped
    require(first >= -overshoot, "β_1", first, f"at least -η(1-α) = {-overshoot}")
    require(tokens >= 1, "T", tokens, "at least 1")
    return target + (first + overshoot) / (step * tokens)


# --- Seconds per round ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Costs:
    """The parts of a round, in the notation of DSSD (arXiv 2507.12000)."""

    draft: float  # T_SLM: the device drafts one token
    verify: float  # T_LLM: the target runs once, over γ + 1 positions or over one
    uplink: float  # R_up
    downlink: float  # R_down
    round_trip: float  # T_NTT: what a round waits for however short its messages are

    def __post_init__(self) -> None:
        for symbol, seconds in (
            ("T_SLM", self.draft),
            ("T_LLM", self.verify),
            ("T_NTT", self.round_trip),
        ):
            require(seconds >= 0, symbol, seconds, "0 or more")
        for symbol, rate in (("R_up", self.uplink), ("R_down", self.downlink)):
            require(rate > 0, symbol, rate, "above 0")


def round_seconds(costs: Costs, gamma: int, up_bits: float, down_bits: float) -> float:
    """γ T_SLM + T_LLM + up / R_up + down / R_down + T_NTT: everything charged, for any method."""
    _check_length(gamma)
    _check_bits(up_bits)
    _check_bits(down_bits)
    on_air = up_bits / costs.uplink + down_bits / costs.downlink
    return gamma * costs.draft + costs.verify + on_air + costs.round_trip


def dsd_round_seconds(
    costs: Costs, gamma: int, vocabulary_size: int, probability_bits: int
) -> float:
    """γ T_SLM + T_LLM + γ V b_p / R_up + T_NTT: DSD as DSSD prints it; ids and answer are free."""
    return round_seconds(costs, gamma, gamma * dsd_bits(vocabulary_size, probability_bits), 0)


def dssd_round_seconds(
    costs: Costs, alpha: float, gamma: int, vocabulary_size: int, probability_bits: int
) -> float:
    """γ T_SLM + T_LLM + (1 - α^γ) V b_p / R_down + T_NTT: DSSD as printed (arXiv 2507.12000).

    Its uplink and the answer to a fully accepted round are free; see `round_seconds` and
    `bit_counts` for what they cost.
    """
    _check_rate(alpha)
    _check_length(gamma)
    down_bits = (1 - alpha**gamma) * dsd_bits(vocabulary_size, probability_bits)
    return round_seconds(costs, gamma, 0, down_bits)


def qs_throughput(
    tokens: float, compute: float, gamma: int, draft_bits: float, uplink: float
) -> float:
    """TP = E[N] / (T + γ b / R), tokens/s, as QS's authors compute it (arXiv 2507.00605).

    Their code has neither a round trip nor a downlink; by notes on it, the paper counts the latter.
    `compute` = T is the time to draft and verify, `draft_bits` = b one draft's bits, `uplink` = R.
    """
    _check_length(gamma)
    _check_bits(draft_bits)
    require(compute > 0, "T", compute, "above 0")
    require(uplink > 0, "R", uplink, "above 0")
    return tokens / (compute + gamma * draft_bits / uplink)


# --- The best draft length (TK-SLT, arXiv 2509.04576) ---------------------------------------------


def relative_cost(costs: Costs, draft_bits: float) -> float:
    """L = b + c: one drafted token in units of T_LLM; b = T_V / T_LLM, c = T_SLM / T_LLM.

    T_V = `draft_bits` / R_up is what uploading it takes; TK-SLT bills K b_p bits.
    """
    _check_bits(draft_bits)
    require(costs.verify > 0, "T_LLM", costs.verify, "above 0")
    return (draft_bits / costs.uplink + costs.draft) / costs.verify


def speed_up(alpha: float, gamma: int, cost: float) -> float:
    """S(γ) = (1 - α^(γ+1)) / ((1-α)(1+γL)), over the target alone; `cost` = L.

    With b = 0, a link that costs nothing, it is Leviathan et al.'s (arXiv 2211.17192).
    """
    _check_cost(cost)
    return expected_tokens(alpha, gamma) / (1 + gamma * cost)


def runs_alone(alpha: float, cost: float) -> bool:
    """Return True where the target is best left alone: S(γ) <= 1 for every γ.

    That is α <= L: S(γ) > 1 says that the mean of α, α², …, α^γ exceeds L, and α is the largest.
    """
    _check_rate(alpha)
    _check_cost(cost)
    return alpha <= cost


def optimal_draft_length(alpha: float, cost: float) -> int:
    """Return the γ >= 1 at which S(γ) is largest: one of the two integers around γ0.

    Printed: γ0 = (1/ln α)(W + 1) - 1/L, W = W_{-1}(-(1/e) α^(1/L - 1)). With t = -(W + 1) this is
    γ0 = ln(1+t)/(-ln α) - 1, where t - ln(1+t) = -(1/L - 1) ln α: here nothing underflows (L -> 0)
    or cancels (α -> 1), and γ is exact while 1 - α >= 1e-9. Raises ValueError when α is 1 or L is
    0 and longer is always better.
    """
    if runs_alone(alpha, cost):
        return 1  # S(1) <= S(0) = 1, and S has one peak
    require(alpha < 1, "α", alpha, f"below 1, or every longer draft is better at L = {cost}")
    require(cost > 1e-300, "L", cost, f"above 0, or every longer draft is better at α = {alpha}")
    decay = -math.log(alpha)
    peak = math.log1p(_lambert_excess((1 / cost - 1) * decay)) / decay - 1
    shorter = max(1, math.floor(peak))
    # S(γ+1) > S(γ), cleared of all that is nearly equal on both sides.
    longer_is_better = math.log1p((1 - alpha) * (shorter + 1 / cost)) > (shorter + 1) * decay
    return shorter + 1 if longer_is_better else shorter


def _lambert_excess(s: float) -> float:
    """Return the t >= 0 with t - ln(1+t) = s, which is -1 - W_{-1}(-e^(-1-s)); s > 0.

    Newton's method, from Chatzigeorgiou's bound t < s + √(2s) (IEEE Comm. Letters 17(8), 2013):
    the left side is convex, so that every step falls short of the root and only rounding ends it.
    """
    t = s + math.sqrt(2 * s)
    while (step := (t - math.log1p(t) - s) * (1 + t) / t) > 1e-15 * t:
        t -= step
    return t


# --- The longest round trip at which drafting on the device pays ----------------------------------


def break_even_round_trip(
    alpha: float, gamma: int, draft: float, autoregressive: float, on_air: float = 0.0
) -> float:
    """(E[N] - 1) t_ar - γ t_d: below it, a round beats the cloud's own autoregressive decoding.

    From "Speculation at a Distance" (arXiv 2606.25091). `draft` = t_d, `autoregressive` = t_ar for
    one token, and as long for verifying a round. `on_air` is what the payloads of a round take on
    both links, which the paper leaves out. Negative: not even without any round trip.
    """
    _check_seconds(draft, autoregressive, on_air)
    return (expected_tokens(alpha, gamma) - 1) * autoregressive - gamma * draft - on_air


def break_even_round_trip_colocated(
    gamma: int, draft: float, colocated_draft: float, on_air: float = 0.0
) -> float:
    """γ (t_dc - t_d): below it, a round beats the same round with the draft model in the cloud.

    `colocated_draft` = t_dc is the time to draft one token there. α, γ and the verification are the
    same on both sides and fall out, so that a device no faster than the cloud never wins.
    """
    _check_length(gamma)
    _check_seconds(draft, colocated_draft, on_air)
    return gamma * (colocated_draft - draft) - on_air


def _check_rate(rate: float, symbol: str = "α") -> None:
    require(0 <= rate <= 1, symbol, rate, "from 0 to 1")


def _check_length(gamma: int) -> None:
    require(gamma >= 1, "γ", gamma, "at least 1")


def _check_cost(cost: float) -> None:
    require(cost >= 0, "L", cost, "0 or more")


def _check_bits(bits: float) -> None:
    require(bits >= 0, "the number of bits", bits, "0 or more")


def _check_seconds(*times: float) -> None:
    for seconds in times:
        require(seconds >= 0, "a time", seconds, "0 or more")
