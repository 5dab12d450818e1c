"""How long a forward pass takes on hardware that isn't there."""

from __future__ import annotations

import msgspec

from testbed.links.units import format_time


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pass over n tokens takes `per_pass` + n `per_token` seconds, sampling from it included."""

    per_pass: float
    per_token: float

    def seconds(self, tokens: int) -> float:
        """What a pass over so many tokens takes."""
        return self.per_pass + tokens * self.per_token

    def __str__(self) -> str:
        return f"{format_time(self.per_pass)} a pass and {format_time(self.per_token)} a token"
