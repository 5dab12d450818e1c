"""Estimates of a device while it decodes: the costs of its link and its models, and α.

A device measures how long each answer took, and the verifier reports how much of that was work.
What is left is the network's: fixed + uplink_bytes / rate. Two messages of different sizes separate
the two. So the fixed part is the median of what rounds and their next ones say, weighted by how
different they are (a pair across a change of rate says something wild, but is one of few), and the
rate is the bytes of the last rounds by what they took beyond it. As long as all messages have about
the same size only the sum is known; then all of it is put down to the bytes, fixed = 0, as in
TK-SLT's model, which knows no round trip.

Everything that passes between the two without work on this generation is the network's: round trip,
queues, waiting for a verifier that serves others. The first round is not timed: it also
waits until both ends have read the prompt.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import NamedTuple

from testbed.drafting.base import RoundOutcome

REMEMBERED = 32
"""Rounds that the fixed part is judged from."""
DISTINCT = 1.05
"""Least ratio of the sizes of two messages whose difference is informative."""
RATE_KEEPS = 0.25
"""Weight of a round in the rate after one more: it must follow a link that switches."""
COSTS_KEEP = 0.8
ACCEPTANCE_KEEPS = 0.95
GUESSED_TESTS = 8
"""Verified drafts that a guess of α counts for at the beginning."""


class ExponentialAverage:
    """Σ amount / Σ weight, in which each addition makes what came before count `keep` times."""

    def __init__(self, keep: float, amount: float = 0.0, weight: float = 0.0) -> None:
        self._keep = keep
        self._amount = amount
        self._weight = weight

    def add(self, amount: float, weight: float) -> None:
        """Take in one more observation."""
        self._amount = self._keep * self._amount + amount
        self._weight = self._keep * self._weight + weight

    @property
    def mean(self) -> float | None:
        """None before anything has been added."""
        return self._amount / self._weight if self._weight else None


class _Passage(NamedTuple):
    """One round as the network saw it."""

    drafted: int
    seconds: float
    up: int
    down: int


class LinkEstimator:
    """Estimates from the rounds of one generation; None for what has not been seen yet."""

    def __init__(self, acceptance: float) -> None:
        """Begin with `acceptance` as a guess of α."""
        self._timed = False
        self._passages: deque[_Passage] = deque(maxlen=REMEMBERED)
        self._draft_s = ExponentialAverage(COSTS_KEEP)
        self._draft_bytes = ExponentialAverage(COSTS_KEEP)
        self._verifier_s = ExponentialAverage(COSTS_KEEP)
        self._acceptance = ExponentialAverage(
            ACCEPTANCE_KEEPS, acceptance * GUESSED_TESTS, GUESSED_TESTS
        )

    def learn(self, outcome: RoundOutcome) -> None:
        """Take in a round."""
        if outcome.verified:
            self._acceptance.add(outcome.accepted, outcome.verified)
        if outcome.drafted:
            self._draft_bytes.add(outcome.uplink_payload_bits / 8, outcome.drafted)
        if self._timed:
            if outcome.drafted:
                self._draft_s.add(outcome.draft_s, outcome.drafted)
            self._verifier_s.add(outcome.verifier_s, 1)
            self._passages.append(
                _Passage(
                    outcome.drafted,
                    max(0.0, outcome.wait_s - outcome.verifier_s),
                    outcome.uplink_bytes,
                    outcome.downlink_bytes,
                )
            )
        self._timed = True

    @property
    def acceptance(self) -> float:
        """α: the share of the verified drafts that were accepted."""
        mean = self._acceptance.mean
        assert mean is not None
        return mean

    @property
    def draft_s(self) -> float | None:
        """T_SLM: seconds per drafted token."""
        return self._draft_s.mean

    @property
    def draft_bytes(self) -> float | None:
        """Bytes of payload that each drafted token takes on the uplink."""
        return self._draft_bytes.mean

    @property
    def verifier_s(self) -> float | None:
        """T_LLM: seconds that the verifier works on a round."""
        return self._verifier_s.mean

    @property
    def fixed_s(self) -> float | None:
        """Seconds of a round that the network takes however short the upload is."""
        rounds = self._comparable()
        if not rounds:
            return None
        crossings = []  # where the line through two rounds meets 0 bytes, and how sure that is
        for a, b in pairwise(rounds):
            short, long = sorted((a, b), key=lambda passage: passage.up)
            if long.up >= DISTINCT * short.up:
                slope = (long.seconds - short.seconds) / (long.up - short.up)
                crossings.append((short.seconds - slope * short.up, 1 - short.up / long.up))
        if not crossings:
            return 0.0
        return min(max(0.0, _median(crossings)), *(passage.seconds for passage in rounds))

    @property
    def uplink(self) -> float | None:
        """Bytes per second; infinite when the uploads take no time that could be seen."""
        return self.network[1]

    @property
    def network(self) -> tuple[float | None, float | None]:
        """`fixed_s` and `uplink`, in the time of one."""
        fixed = self.fixed_s
        # A round without drafts is nothing but a header: its time says nothing of the rate.
        carrying = [passage for passage in self._comparable() if passage.drafted]
        if fixed is None or not carrying:
            return fixed, None
        sums = ExponentialAverage(RATE_KEEPS)
        for passage in carrying:
            sums.add(passage.seconds - fixed, passage.up)
        seconds_per_byte = sums.mean
        return fixed, 1 / seconds_per_byte if seconds_per_byte else float("inf")

    def _comparable(self) -> list[_Passage]:
        """Return the rounds with a short answer: a long one takes time that is not the uplink's."""
        shortest = min((passage.down for passage in self._passages), default=0)
        return [passage for passage in self._passages if passage.down <= 2 * shortest]


def _median(weighted: list[tuple[float, float]]) -> float:
    """Return the value at which half of the weight of all (value, weight) is reached."""
    half = sum(weight for _, weight in weighted) / 2
    reached = 0.0
    for value, weight in sorted(weighted):
        reached += weight
        if reached >= half:
            return value
    return value  # rounding kept the sum from its half
