"""Method halves whose effects are changed on their way to the driver."""

from __future__ import annotations

from typing import Any


def changed(half, kind, change):
    """Do as `half` does, with each effect of a kind replaced by what `change` makes of it."""
    result: Any = None
    while True:
        try:
            effect = half.send(result)
        except StopIteration:
            return
        result = yield change(effect) if isinstance(effect, kind) else effect
