"""The request for one generation, which the runner sends to the device."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.decoding.sampling import Sampling


class DecodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to generate one continuation of a prompt."""

    method: str
    options: dict[str, Any]
    sampling: Sampling
    seed: int
    repetition: int
    stream: str
    """The name of the generation within a repetition; the same for every method."""
    max_new_tokens: int
    end_tokens: tuple[int, ...]
    """Ids that end the generation before `max_new_tokens`: the target's, or none."""
