"""γ and ℓ of each round by QS's Double DQN (arXiv 2507.00605), already trained.

After the authors' code (zhang-guangyi/QS-Speculative-Decoding on GitHub), as the paper's text was
not at hand.

State: the unquantised q(x) of the last 64 accepted drafts, oldest first, zeros where there are none
yet, and the uplink. Three branches, joined: 64 → 128 → 128 for the probabilities; 2 → 32 → 32 for
their mean and the last; 1 → 16 → 16 for the uplink; then 176 → 128 → one value per action, all with
ReLU in between. The action of largest value is taken: γ in {12, 10, 9, …, 1} with one ℓ for the
whole round.

What differs. Their uplink is in one of two states, which the device knows; here it is log2 of the
rate in Mbit/s as testbed.drafting.link_estimator measures it, 0 before the first measurement, so
that one network serves fast links and slow ones. Their ℓ are one of two, 720 and 240 at 4 Mbit/s,
other pairs from 2 to 24 apparently on slow links; here they are any of 8, 12, 24, 100 and 240. The
network is trained on synthetic generations whose mix of certain and uncertain contexts varies, with
the costs of one machine: like theirs it is made for one pair of models, and others want a training
of their own.

Weights: qs_dqn.npz, made by `python scripts/train_qs_policy.py --seed 1`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from math import log2
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.base import Drawn
from testbed.decoding.sampling import Probabilities
from testbed.drafting.base import RoundOutcome
from testbed.drafting.link_estimator import LinkEstimator
from testbed.drafting.resolution import ChoosesResolution, ChoosingOptions, Resolution
from testbed.errors import TestbedError

Weights = dict[str, NDArray[np.float32]]

REMEMBERED = 64
LENGTHS: tuple[int, ...] = (12, *range(10, 0, -1))
RESOLUTIONS = (8, 12, 24, 100, 240)
ACTIONS: tuple[tuple[int, int], ...] = tuple(
    (gamma, total) for gamma in LENGTHS for total in RESOLUTIONS
)
BRANCHES = {"history": (REMEMBERED, 128), "summary": (2, 32), "uplink": (1, 16)}
"""Inputs and width of each branch."""
JOINED = 128
WEIGHTS = Path(__file__).with_name("qs_dqn.npz")


class QsDqn(ChoosingOptions, frozen=True, tag="qs_dqn"):
    """No options: the policy is as it was trained."""

    summary = "γ and each round's ℓ by QS's Double DQN, as trained"
    paper = "arXiv 2507.00605"

    @override
    def start(self, resolutions: Sequence[Resolution]) -> ChoosesResolution:
        offered = [each.total for each in resolutions]
        if unknown := sorted(set(offered) - set(RESOLUTIONS)):
            raise TestbedError(
                f"qs.lattice: {', '.join(map(str, unknown))}: qs_dqn is trained for "
                f"{', '.join(map(str, RESOLUTIONS))}; choose from these"
            )
        return _QsDqn(offered)


def state_of(history: Sequence[float], rate: float | None) -> tuple[NDArray[np.float32], ...]:
    """Return the inputs of the branches, from q(x) of accepted drafts and the rate in bit/s."""
    last = list(history)[-REMEMBERED:]
    padded = np.zeros(REMEMBERED, np.float32)
    if last:
        padded[-len(last) :] = last
    summary = (float(np.mean(last)), last[-1]) if last else (0.0, 0.0)
    uplink = min(max(log2(rate / 1e6), -10.0), 10.0) if rate else 0.0
    return padded, np.array(summary, np.float32), np.array([uplink], np.float32)


def values(weights: Weights, state: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return Q of each action, shape [|A|]."""
    hidden = []

    def layer(name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]
        return result

    for name, x in zip(BRANCHES, state, strict=True):
        first = np.maximum(layer(f"{name}.0", x), 0)
        hidden.append(np.maximum(layer(f"{name}.2", first), 0))
    joined = np.maximum(layer("joined.0", np.concatenate(hidden)), 0)
    return layer("joined.2", joined)


@cache
def trained() -> Weights:
    """Load the network that is kept with the code."""
    with np.load(WEIGHTS) as file:
        return dict(file)


class _QsDqn(ChoosesResolution):
    def __init__(self, offered: Sequence[int]) -> None:
        self._allowed = np.array([total in offered for _, total in ACTIONS])
        self._link = LinkEstimator(acceptance=0.5)
        self._history: deque[float] = deque(maxlen=REMEMBERED)
        self._q: Probabilities | None = None  # of the last draft, unquantised
        self._drawn: list[float] = []  # q(x) of the round's other drafts
        self._action = ACTIONS[0]

    @override
    def more(self, drafts: Sequence[Drawn]) -> bool:
        self._keep(drafts)
        if not drafts:
            rate = self._link.uplink
            state = state_of(self._history, rate and 8 * rate)
            q = np.where(self._allowed, values(trained(), state), -np.inf)
            self._action = ACTIONS[int(q.argmax())]
        gamma, _ = self._action
        return len(drafts) < gamma

    @override
    def choose(self, q: Probabilities) -> int:
        self._q = q
        return self._action[1]

    @override
    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        self._keep(drafts)
        self._history.extend(self._drawn[:accepted])
        self._drawn = []

    def _keep(self, drafts: Sequence[Drawn]) -> None:
        """Note q(x) of the last draft, rather than a whole q of each."""
        if self._q is not None and len(drafts) > len(self._drawn):
            self._drawn.append(float(self._q[drafts[-1].token]))
            self._q = None

    @override
    def learn(self, outcome: RoundOutcome) -> None:
        self._link.learn(outcome)
