"""Codecs for whole distributions by the precision that options name, found by their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from testbed.codecs.base import PrecisionCodec
from testbed.config.by_file import find_classes, keyed

_KINDS = keyed(
    find_classes("testbed.codecs", PrecisionCodec),  # type: ignore[type-abstract]
    lambda kind: kind.precisions,
)

if TYPE_CHECKING:
    Precision: TypeAlias = str
else:  # of what is found when methods are imported
    Precision = Union[(*(Literal[kind.precisions] for kind in dict.fromkeys(_KINDS.values())),)]


def distribution_codec(precision: Precision) -> PrecisionCodec:
    """Return the codec for one whole distribution at this precision."""
    return _KINDS[precision](precision)
