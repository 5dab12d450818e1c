"""Fields of scenarios that hold quantities with units, and files that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from testbed.config.written import Written
from testbed.links.units import (
    format_fraction,
    format_size,
    format_time,
    parse_fraction,
    parse_size,
    parse_time,
)


class Text(Written):
    """A value that is written as a text, or as a number that is read as its text."""

    parse: ClassVar[Callable[[str], Any]]
    format: ClassVar[Callable[[Any], str]]

    @override
    @classmethod
    def read(cls, raw: object) -> Any:
        return cls.parse(str(raw))

    @override
    @classmethod
    def write(cls, value: Any) -> str:
        return cls.format(value)


class ContentOf(Written):
    """A file that is named, and read by the class of its content, which has its `path`."""

    content: ClassVar[Any]

    @override
    @classmethod
    def read(cls, raw: object) -> Any:
        return cls.content.read(Path(str(raw)))

    @override
    @classmethod
    def write(cls, value: Any) -> str:
        return str(value.path)


def _positive_time(text: str) -> float:
    time = parse_time(text)
    if time == 0:
        raise ValueError(f"{text!r} is too short; it must be more than 0")
    return time


if TYPE_CHECKING:
    Time = float
    PositiveTime = float
    Fraction = float
    Size = int
else:

    class Time(Text):
        """Seconds."""

        parse, format = parse_time, format_time

    class PositiveTime(Text):
        """Seconds, more than 0."""

        parse, format = _positive_time, format_time

    class Fraction(Text):
        """A share of one."""

        parse, format = parse_fraction, format_fraction

    class Size(Text):
        """Bytes."""

        parse, format = parse_size, format_size
