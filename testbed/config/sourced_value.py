"""Values of profiles, of links and of hardware, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

PRESET = "engineering preset, not measured"
"""The source of a value that nobody has published."""


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """A value as a scenario writes it, and its source."""

    value: str | dict[str, str]
    source: str

    @property
    def text(self) -> str:
        """The value as text: "15mbit", or "p 2.5%, r 50%" for a mapping."""
        if isinstance(self.value, str):
            return self.value
        return ", ".join(f"{key} {value}" for key, value in self.value.items())
