"""The finding of one check of the doctor."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "warning", "missing"]


class Finding(msgspec.Struct, frozen=True):
    """One line of `testbed doctor`."""

    name: str
    state: State
    """ok; warning: runs work, with restrictions; missing: no run is possible without it."""
    finding: str
    advice: str = ""
    """The remedy; empty if none is needed or known."""
