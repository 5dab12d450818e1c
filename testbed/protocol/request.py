"""What one text asks for: passed from the runner to the device."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.decoding.sampling import Sampling


class DecodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One text to decode."""

    method: str
    options: dict[str, Any]
    sampling: Sampling
    seed: int
    repetition: int
    stream: str
    """Names the text within a repetition; the same for every method."""
    max_new_tokens: int
    end_tokens: tuple[int, ...]
    """Ids that end the text earlier: the target's, or none."""
