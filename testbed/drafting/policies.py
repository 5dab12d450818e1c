"""All draft-length policies: what `draft_length` may be in a scenario."""

from __future__ import annotations

from typing import TypeAlias

from testbed.drafting.base import DraftLength, Length
from testbed.drafting.bit_budget import BitBudget
from testbed.drafting.confidence import Confidence
from testbed.drafting.fixed import Fixed
from testbed.drafting.heuristic import Heuristic
from testbed.drafting.lambert import Lambert
from testbed.drafting.ucb import Ucb

DraftLengthOption: TypeAlias = Length | BitBudget | Confidence | Heuristic | Lambert | Ucb
"""A number, or a mapping with the `policy` and its options."""


def start_policy(option: DraftLengthOption) -> DraftLength:
    """The policy that an option names, about to begin a text."""
    return Fixed(option) if isinstance(option, int) else option.start()
