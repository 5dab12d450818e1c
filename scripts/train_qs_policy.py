#!/usr/bin/env python3
"""Trains QS's Double DQN (arXiv 2507.00605) and writes testbed/drafting/qs_dqn.npz.

    python scripts/train_qs_policy.py --seed 1 [--episodes 1500] [--out FILE]

Minutes on one core; the same seed gives the same weights on the same machine and torch. Afterwards
the greedy policy is compared with every static (γ, ℓ) on texts that it wasn't trained on.

As in the authors' code: reward 0.5 TP a round, and of the whole text at its end; discount 0.1;
Adam 1e-4; batches of 64 from the last 10,000 rounds; the target network follows every 30 steps; ε
from 1 to 0.01; an evaluation every 250 episodes. Rewards are in 100 tokens/s, so that values are
near 1.

Not in it. TP is E[N] / E[T] over what the round might draft in this text, and not over what it did
draft, which says too little of an action to tell good ones from the best. The reward at the
end has the factor 0.5, too: without it a text's last rounds draft as if to reach the end at any
cost. Texts have 20 to 120 tokens and not always 52, so that a full history is known to the network.
An episode is eight texts side by side, with one step after a round of each: with a step a round the
network learns the histories in its memory by heart. ε falls by 0.996 an episode, for there are
fewer. What is evaluated, and kept when it is the best so far, is a moving average of the weights.

The environment is a simulation, drawn from the laws of the synthetic pair (V = 50,272) themselves:
a round takes γ T_SLM + T_LLM + γ T_v + fixed + bits / R. Each text has its own mix of certain and
uncertain contexts, one of two lists of acceptances, one of two pairs of rates (200 and 500 kbit/s,
2 and 6 Mbit/s), between which the uplink switches from round to round by one of the authors'
chains.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from testbed.codecs.sparse_lattice import SparseLattice
from testbed.drafting.qs_dqn import (
    ACTIONS,
    BRANCHES,
    JOINED,
    REMEMBERED,
    RESOLUTIONS,
    WEIGHTS,
    Weights,
    state_of,
    values,
)
from testbed.models.synthetic import draft_distribution, target_distribution

V = 50272
PAIRS = ((0.55, 0.8, 0.95), (0.18, 0.6, 0.9, 0.99))
RATES = ((200e3, 500e3), (2e6, 6e6))
CHAINS = ((0.9, 0.3), (0.8, 0.3), (0.75, 0.3), (0.7, 0.3), (0.6, 0.3), (0.5, 0.25), (0.5, 0.5))
"""P[low | low] and P[low | high]."""
T_SLM, T_LLM, T_VERIFY, FIXED = 6.06e-3, 30.3e-3, 0.3e-3, 7e-3
"""Seconds: a draft, a round's verification, what it takes longer for each draft, the network. The
first three are those of scripts/bench/methods.py."""
HEADER = 900
"""Bits of a message that are no draft's: header and what ZeroMQ, TCP, IP and Ethernet add."""
TOKENS = (20, 120)
"""Lengths of texts, the last one excluded."""

DISCOUNT, RATE, BATCH, MEMORY, FOLLOW, EVALUATE = 0.1, 1e-4, 64, 10_000, 30, 250
AVERAGE = 0.9995
"""The share that the moving average of the weights keeps at each step."""
CHECKED = 40
"""Texts of each kind in an evaluation."""
EPSILON, LEAST, DECAY, TOGETHER = 1.0, 0.01, 0.996, 8
UNIT = 100.0
"""Tokens/s that count as a reward of 1."""

State = tuple[NDArray[np.float32], ...]
Action = tuple[int, int]


class Law(NamedTuple):
    """One kind of context, quantised to one ℓ: what may be drawn."""

    cumulative: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    q: NDArray[np.float64]
    bits: float
    mean: float
    """Of the acceptance."""


def laws(pair: tuple[float, ...]) -> list[dict[int, Law]]:
    """For each kind of context of a synthetic pair, what each ℓ makes of it."""
    found = []
    for place, alpha in enumerate(pair):
        p = target_distribution(V, b"0", place)
        q = draft_distribution(p, alpha, b"0")
        kinds = {}
        for total in RESOLUTIONS:
            codec = SparseLattice(total, V)
            lattice = codec.quantise(q)
            drawn = lattice.counts / total
            ids = lattice.support
            acceptance = np.minimum(1, p[ids] / drawn)
            kinds[total] = Law(
                np.cumsum(drawn),
                acceptance,
                q[ids],
                codec.bits(ids.size),
                float(drawn @ acceptance),
            )
        found.append(kinds)
    return found


class Text:
    """One simulated text: an episode."""

    def __init__(
        self,
        kinds: list[dict[int, Law]],
        rates: tuple[float, float],
        rng: np.random.Generator,
        mix: NDArray[np.float64] | None = None,
    ) -> None:
        self._kinds = kinds
        self._rates = rates
        self._rng = rng
        self._mix = rng.dirichlet([2.0] * len(kinds)) if mix is None else mix
        self._chain = CHAINS[rng.integers(len(CHAINS))]
        self._low = bool(rng.integers(2))
        self._history: deque[float] = deque(maxlen=REMEMBERED)
        self._wanted = int(rng.integers(*TOKENS))
        self.tokens = 0
        self.seconds = 0.0

    @property
    def state(self) -> State:
        """The state that the policy sees."""
        return state_of(self._history, self._rates[0] if self._low else self._rates[1])

    @property
    def done(self) -> bool:
        """True if the generation is long enough."""
        return self.tokens >= self._wanted

    def round(self, gamma: int, total: int) -> float:
        """Decode a round; its reward."""
        rate = self._rates[0] if self._low else self._rates[1]
        overhead = gamma * (T_SLM + T_VERIFY) + T_LLM + FIXED + HEADER / rate
        laws_ = [kind[total] for kind in self._kinds]
        bits, accepted, alive = 0.0, 0, True
        kinds = self._rng.choice(len(laws_), size=gamma, p=self._mix)
        for kind, (draw, test) in zip(kinds, self._rng.random((gamma, 2)), strict=True):
            law = laws_[kind]
            bits += law.bits
            if alive:
                drawn = int(np.searchsorted(law.cumulative, draw, side="right"))
                drawn = min(drawn, law.q.size - 1)
                alive = test < law.acceptance[drawn]
            if alive:
                accepted += 1
                self._history.append(float(law.q[drawn]))
        self.tokens += accepted + 1
        self.seconds += overhead + bits / rate
        self._low = bool(self._rng.random() < self._chain[0 if self._low else 1])
        if self.done:
            return 0.5 * self.tokens / self.seconds / UNIT
        acceptance = float(self._mix @ [law.mean for law in laws_])
        expected = sum(acceptance**k for k in range(gamma + 1))
        seconds = overhead + gamma * float(self._mix @ [law.bits for law in laws_]) / rate
        return 0.5 * expected / seconds / UNIT


class Network(nn.Module):
    """As testbed.drafting.qs_dqn describes it, by the same names."""

    def __init__(self) -> None:
        super().__init__()

        def two(inputs: int, width: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))

        for name, (inputs, width) in BRANCHES.items():
            self.add_module(name, two(inputs, width, width))
        self.joined = two(sum(width for _, width in BRANCHES.values()), JOINED, len(ACTIONS))

    def forward(self, *branches: torch.Tensor) -> torch.Tensor:
        """Values of all actions, [batch, |A|], from one [batch, inputs] for each branch."""
        hidden = [
            torch.relu(self.get_submodule(name)(x))
            for name, x in zip(BRANCHES, branches, strict=True)
        ]
        result: torch.Tensor = self.joined(torch.cat(hidden, dim=1))
        return result


def arrays(network: nn.Module) -> Weights:
    """Return a network's weights for testbed.drafting.qs_dqn."""
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


class Memory:
    """The last rounds, as arrays that batches are drawn from."""

    def __init__(self) -> None:
        sizes = [inputs for inputs, _ in BRANCHES.values()]
        self.before = [np.zeros((MEMORY, size), np.float32) for size in sizes]
        self.after = [np.zeros((MEMORY, size), np.float32) for size in sizes]
        self.action = np.zeros(MEMORY, np.int64)
        self.reward = np.zeros(MEMORY, np.float32)
        self.goes_on = np.zeros(MEMORY, np.float32)
        self.added = 0

    def add(self, before: State, action: int, reward: float, after: State, done: bool) -> None:
        """Take in a round in place of the oldest one."""
        at = self.added % MEMORY
        for arrays, state in ((self.before, before), (self.after, after)):
            for array, values_ in zip(arrays, state, strict=True):
                array[at] = values_
        self.action[at], self.reward[at], self.goes_on[at] = action, reward, not done
        self.added += 1


def train(episodes: int, seed: int) -> Weights:
    """Double DQN; the weights that did best."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    settings = [(laws(pair), rates) for pair in PAIRS for rates in RATES]
    online, target = Network(), Network()
    target.load_state_dict(online.state_dict())
    optimiser = torch.optim.Adam(online.parameters(), lr=RATE)
    average = AveragedModel(online, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))
    memory, epsilon, steps, began = Memory(), EPSILON, 0, time.monotonic()
    best, kept = 0.0, arrays(average.module)
    for episode in range(1, episodes + 1):
        texts = [Text(*settings[rng.integers(len(settings))], rng) for _ in range(TOGETHER)]
        while texts:
            states = [text.state for text in texts]
            with torch.no_grad():
                batch = [torch.from_numpy(np.stack(each)) for each in zip(*states, strict=True)]
                actions = online(*batch).argmax(dim=1).tolist()
            for text, state, preferred in zip(texts, states, actions, strict=True):
                explores = rng.random() < epsilon
                action = int(rng.integers(len(ACTIONS))) if explores else preferred
                reward = text.round(*ACTIONS[action])
                memory.add(state, action, reward, text.state, text.done)
            texts = [text for text in texts if not text.done]
            if memory.added >= BATCH:
                learn(online, target, optimiser, memory, rng)
                average.update_parameters(online)
                steps += 1
                if steps % FOLLOW == 0:
                    target.load_state_dict(online.state_dict())
        epsilon = max(LEAST, epsilon * DECAY)
        if episode % EVALUATE == 0:
            weights = arrays(average.module)
            speeds = [speed(*each, greedy(weights), CHECKED, seed + 1) for each in settings]
            mean = float(np.mean(speeds))
            if mean > best:
                best, kept = mean, weights
            each = ", ".join(f"{one:.1f}" for one in speeds)
            print(
                f"  {episode} episodes, {steps} steps, {time.monotonic() - began:.0f} s: ε "
                f"{epsilon:.2f}, {mean:.1f} tokens/s ({each})",
                flush=True,
            )
    return kept


def greedy(weights: Weights) -> Callable[[State], Action]:
    """Return the policy that the weights stand for."""
    return lambda state: ACTIONS[int(values(weights, state).argmax())]


def speed(
    kinds: list[dict[int, Law]],
    rates: tuple[float, float],
    policy: Callable[[State], Action],
    texts: int,
    seed: int,
) -> float:
    """Tokens per second of a policy over so many texts; contexts mixed evenly."""
    even = np.full(len(kinds), 1 / len(kinds))
    tokens, seconds = 0, 0.0
    for number in range(texts):
        text = Text(kinds, rates, np.random.default_rng([seed, number]), even)
        while not text.done:
            text.round(*policy(text.state))
        tokens, seconds = tokens + text.tokens, seconds + text.seconds
    return tokens / seconds


def learn(
    online: Network,
    target: Network,
    optimiser: torch.optim.Optimizer,
    memory: Memory,
    rng: np.random.Generator,
) -> None:
    """One step: the online network chooses the next action, the target network values it."""
    batch = rng.integers(min(memory.added, MEMORY), size=BATCH)
    before = [torch.from_numpy(each[batch]) for each in memory.before]
    after = [torch.from_numpy(each[batch]) for each in memory.after]
    action = torch.from_numpy(memory.action[batch])[:, None]
    with torch.no_grad():
        best = online(*after).argmax(dim=1, keepdim=True)
        future = target(*after).gather(1, best)[:, 0]
        goal = torch.from_numpy(memory.reward[batch])
        goal = goal + DISCOUNT * torch.from_numpy(memory.goes_on[batch]) * future
    value = online(*before).gather(1, action)[:, 0]
    loss = nn.functional.mse_loss(value, goal)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def compare(weights: Weights, texts: int, seed: int) -> None:
    """Print the greedy policy beside the best statics."""
    for pair in PAIRS:
        kinds = laws(pair)
        for rates in RATES:
            statics = {
                action: speed(kinds, rates, lambda _, a=action: a, texts, seed)
                for action in ACTIONS
            }
            best = sorted(statics, key=lambda action: -statics[action])[:3]
            shown = ", ".join(f"{action} {statics[action]:.1f}" for action in best)
            ours = speed(kinds, rates, greedy(weights), texts, seed)
            print(
                f"  acceptances {pair}, {rates[0] / 1e6:g} and {rates[1] / 1e6:g} Mbit/s: "
                f"policy {ours:.1f} tokens/s, best (γ, ℓ) {shown}; ratio "
                f"{ours / statics[best[0]]:.3f}",
                flush=True,
            )


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episodes", type=int, default=1500)
    parser.add_argument("--texts", type=int, default=200, help="to compare on (default 200)")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    weights = train(args.episodes, args.seed)
    compare(weights, args.texts, args.seed + 1_000_000)
    np.savez_compressed(args.out, **weights)
    print(f"{args.out}: {args.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
