"""Types of fields that hold quantities with units, or the contents of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from typing_extensions import override

from testbed.config.written import Schema, Written
from testbed.links.units import (
    format_fraction,
    format_size,
    format_time,
    json_schema,
    parse_fraction,
    parse_size,
    parse_time,
)


class Text(Written):
    """A value written as text; a number is read as its text."""

    parse: ClassVar[Callable[[str], Any]]
    format: ClassVar[Callable[[Any], str]]
    schema: ClassVar[Schema]

    @override
    @classmethod
    def read(cls, raw: object) -> Any:
        return cls.parse(str(raw))

    @override
    @classmethod
    def write(cls, value: Any) -> str:
        return cls.format(value)

    @override
    @classmethod
    def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
        return dict(cls.schema)


class ContentOf(Written):
    """A value written as the path of a file; `content` is the class that reads it and keeps it."""

    content: ClassVar[Any]

    @override
    @classmethod
    def read(cls, raw: object) -> Any:
        return cls.content.read(Path(str(raw)))

    @override
    @classmethod
    def write(cls, value: Any) -> str:
        return str(value.path)

    @override
    @classmethod
    def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
        return {"type": "string"}


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
        """A duration in seconds, from 0, written as "20ms"."""

        parse, format, schema = parse_time, format_time, json_schema("time")

    class PositiveTime(Text):
        """A duration in seconds, more than 0, written as "20ms"."""

        parse, format, schema = _positive_time, format_time, json_schema("time")

    class Fraction(Text):
        """A share from 0 to 1, written as "1%"."""

        parse, format, schema = parse_fraction, format_fraction, json_schema("percentage")

    class Size(Text):
        """A size in bytes, written as "64KiB"."""

        parse, format, schema = parse_size, format_size, json_schema("size")
