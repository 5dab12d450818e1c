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
    """Uplink bits of a draft, by the number of tokens that have a count in its q̂."""


class ChoosesResolution(DraftLength):
    """A policy at work on one generation that is asked once about each draft, when its q is known.

    It sees q itself, before it is quantised; the token is drawn afterwards, and from what is sent.
    """

    @abstractmethod
    def choose(self, q: Probabilities) -> int | None:
        """Return ℓ of a draft from `q`, shape [V], or None to end the round without that draft."""

    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        """Commit the first `accepted` of the round's drafts; called before `learn`."""


class ChoosingOptions(Policy, frozen=True):
    """The options of a policy that decides on γ and on each draft's ℓ, for methods that offer ℓ."""

    def start(self, resolutions: Sequence[Resolution]) -> ChoosesResolution:
        """Return the policy, about to begin a generation.

        `resolutions` are ascending, at least one. Raises TestbedError when the policy cannot choose
        from these.
        """
        raise NotImplementedError
