"""All draft-length policies, found by their files: the values of `draft_length` in a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar, Union

from testbed.config.by_file import find_classes, keyed
from testbed.drafting.base import DraftLength, Length, Policy, PolicyOptions
from testbed.drafting.fixed import Fixed
from testbed.drafting.resolution import ChoosingOptions

P = TypeVar("P", bound=Policy)

_BASES: tuple[type[Policy], ...] = (Policy, PolicyOptions, ChoosingOptions)


def policies(kind: type[P]) -> dict[str, type[P]]:
    """Return the policies of this package that are of this `kind`, by name, sorted.

    Raises TypeError for one without a summary, or with the name of another.
    """
    found = [each for each in find_classes("testbed.drafting", kind) if each not in _BASES]
    for each in found:
        if not hasattr(each, "summary"):
            raise TypeError(f"{each.__module__}.{each.__name__} has no summary; a policy needs one")
    return dict(sorted(keyed(found, lambda each: [str(each.__struct_config__.tag)]).items()))


if TYPE_CHECKING:
    DraftLengthOption: TypeAlias = Length | PolicyOptions
    ChoosingOption: TypeAlias = ChoosingOptions
else:  # of what is found when methods are imported
    DraftLengthOption = Union[(Length, *policies(PolicyOptions).values())]
    """A number, or a mapping with the `policy` and its options."""
    ChoosingOption = Union[(*policies(ChoosingOptions).values(),)]
    """A mapping with a `policy` that decides on γ and ℓ, and its options."""


def start_policy(option: DraftLengthOption) -> DraftLength:
    """Return the policy that an option names, about to begin a generation."""
    return Fixed(option) if isinstance(option, int) else option.start()
