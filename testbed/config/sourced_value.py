"""Figures of profiles, of links as of hardware: each says where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

PRESET = "engineering preset, not measured"
"""In the source of a figure that nobody has published."""


@dataclass(frozen=True, slots=True)
class SourcedValue:
    """A value as a scenario writes it, and where it comes from."""

    value: str | dict[str, str]
    source: str

    @property
    def text(self) -> str:
        """The value for people."""
        if isinstance(self.value, str):
            return self.value
        return ", ".join(f"{key} {value}" for key, value in self.value.items())
