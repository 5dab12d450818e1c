"""Duration of a forward pass on emulated hardware."""

from __future__ import annotations

import msgspec
from typing_extensions import override

from testbed.links.units import format_time


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Linear model of duration: a pass over n tokens takes `per_pass` + n `per_token` seconds.

    Sampling from its logits is included.
    """

    per_pass: float
    per_token: float

    def seconds(self, tokens: int) -> float:
        """Return the duration in seconds of a pass over `tokens` tokens."""
        return self.per_pass + tokens * self.per_token

    @override
    def __str__(self) -> str:
        return f"{format_time(self.per_pass)} a pass and {format_time(self.per_token)} a token"
