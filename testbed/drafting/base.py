"""The interface of draft-length policies: γ, decided token by token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import msgspec

from testbed.codecs.base import Drawn

Length: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=4096)]
"""A number of drafts as an option."""


@dataclass(frozen=True)
class RoundOutcome:
    """The outcome of one round, as the device sees it."""

    drafted: int
    """Length of the draft; that of its longest path where it is a tree."""
    accepted: int
    verified: int
    """Positions at which drafts were verified: the accepted ones, and a rejected one."""
    draft_s: float
    """Seconds that drafting took."""
    wait_s: float
    """Seconds from the upload to the whole answer."""
    verifier_s: float
    """Of these, seconds in which the verifier worked on the answer, as it reports."""
    uplink_bytes: int
    """Messages, whole: header and payload; what is below them is not known here."""
    downlink_bytes: int
    uplink_payload_bits: int
    """Of the uplink, what carries information: the header and padding left out."""


class DraftLength(ABC):
    """A policy at work on one generation.

    The tokens may depend on its decisions, but never their distribution: each decision is made
    before the draw it is about, and no draw is made twice (see testbed.decoding.randomness).
    """

    @abstractmethod
    def more(self, drafts: Sequence[Drawn]) -> bool:
        """Decide on another draft behind `drafts`, the round's so far."""

    def admits(self, drafts: Sequence[Drawn], bits: float | None) -> bool:
        """Decide on a draft of `bits` bits behind `drafts`; asked before its token is drawn.

        Where all drafts take the same bits, asked once, before the draft model's pass. Elsewhere
        asked twice: before the pass with None, as the bits are not known yet, and behind it.
        """
        return True

    def learn(self, outcome: RoundOutcome) -> None:  # noqa: B027  most have nothing to learn
        """Learn from a round."""


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="policy"):
    """The options of a policy as a scenario writes them: {policy: NAME, …}.

    A subclass with a `summary`, in a module of its own in this package, is found by its tag, which
    is NAME; nothing else has to be registered.
    """

    summary: ClassVar[str]
    """One line for `testbed policies`."""
    paper: ClassVar[str]


class PolicyOptions(Policy, frozen=True):
    """The options of a policy that decides on γ alone, for any method that drafts."""

    def start(self) -> DraftLength:
        """Return the policy, about to begin a generation."""
        raise NotImplementedError
