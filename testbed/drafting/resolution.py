"""Policies that choose, besides γ, how finely each draft's q̂ is quantised: ℓ, as QS has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from testbed.codecs.base import Drawn
from testbed.decoding.sampling import Probabilities
from testbed.drafting.base import DraftLength, Policy


@dataclass(frozen=True)
class Resolution:
    """A denominator that may be chosen."""

    total: int
    """ℓ."""
    bits: Callable[[int], float]
    """What a draft takes on the uplink whose q̂ has a count on so many tokens."""


class ChoosesResolution(DraftLength):
    """A policy at work on one text, asked for ℓ after `more` and before `admits` with its bits.

    It sees q itself, before it is quantised; the token is drawn afterwards, and from what is sent.
    """

    @abstractmethod
    def resolution(self, q: Probabilities) -> int:
        """ℓ of the draft that is about to be drawn; `q`, shape [V], is its law unquantised."""

    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        """The first `accepted` of the round's drafts stand; told before `learn`."""


class ChoosingOptions(Policy, frozen=True):
    """The options of a policy that decides on γ and on each draft's ℓ, for methods that offer ℓ."""

    def start(self, resolutions: Sequence[Resolution]) -> ChoosesResolution:
        """The policy, about to begin a text. Raises TestbedError when it can't choose from these.

        `resolutions` are ascending, at least one.
        """
        raise NotImplementedError
