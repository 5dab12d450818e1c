"""Effects: what a method half needs, and is resumed with once a driver has provided it.

A half is a generator. It yields effects and never knows how, or when in real time, they come about:
in a node's process, in virtual time, for many generations at once, or for every outcome of every
random decision. Helpers of testbed.methods.device_context and testbed.methods.verifier_context
yield them: `drafts = yield from device.propose(…)`, `p = yield from verifier.read(tokens)`.

Time reaches a method only as the result of an effect. No span, lock or reading of a clock may last
over a yield: a driver may do anything in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

from testbed.codecs.bits import Payload
from testbed.models.base import Logits
from testbed.models.compute.paced_reader import Passes

T = TypeVar("T")


@dataclass(slots=True)
class Pass:
    """A forward pass over the tokens of `sequence` that the model has not read yet.

    Its result is `of(logits)`, of the logits after each of the last `keep` tokens, shape [keep, V].
    A pace includes the time of `of`.
    """

    passes: Passes
    sequence: list[int]
    keep: int
    of: Callable[[Logits], Any]


@dataclass(slots=True)
class Now:
    """The time in ns of testbed.clock."""


@dataclass(slots=True)
class Send:
    """Device: send a round's upload with so many drafted tokens; does not wait for the answer.

    The answer to the round before must be complete.
    """

    upload: Payload
    drafts: int


@dataclass(slots=True)
class NextPart:
    """Device: wait for the next part of the answer to the last upload, a Part."""


class Part(NamedTuple):
    """One part of an answer, as the device receives it."""

    payload: bytes
    last: bool
    seconds: float
    """Seconds since the upload, or since the part before."""


@dataclass(slots=True)
class Commit:
    """Device: commit these tokens.

    They are appended to the device's `token_ids`, cut where the generation ends; then the half is
    not resumed.
    """

    tokens: list[int]


@dataclass(slots=True)
class Answer:
    """Verifier: send one part of the answer to a round."""

    payload: Payload
    last: bool = True


Effect: TypeAlias = Pass | Now | Send | NextPart | Commit | Answer
Effects: TypeAlias = Generator[Effect, Any, T]
"""A generator that yields effects and returns a T."""
Around: TypeAlias = Callable[[Effects[None]], Effects[None]]
"""Makes of a method half one with the same effects, e.g. to time what it computes between them."""


def unchanged(half: Effects[None]) -> Effects[None]:
    """Return the half itself."""
    return half
