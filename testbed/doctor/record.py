"""What one check of the doctor found."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warning", "missing"]


class Finding(msgspec.Struct, frozen=True):
    """One line of `testbed doctor`."""

    name: str
    state: State
    """ok; warning: runs work, but with less; missing: no run is possible without it."""
    finding: str
    advice: str = ""
    """What would make it ok; empty where nothing need be done."""
