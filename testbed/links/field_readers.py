"""Reading a mapping of a scenario, key by key."""

from collections.abc import Callable, Mapping
from typing import Any

from testbed.errors import TestbedError

FieldReader = Callable[[object, str], object]  # of a value, and of its place for error messages


def scalar(parse: Callable[[str], object]) -> FieldReader:
    """A reader for what is written as text, from a parser that raises ValueError."""

    def read(value: object, where: str) -> object:
        try:
            return parse(str(value))
        except ValueError as error:
            raise TestbedError(f"{where}: {error}") from error

    return read


def read_fields(
    mapping: Mapping[str, object], readers: Mapping[str, FieldReader], where: str
) -> dict[str, Any]:
    """The values of a mapping; TestbedError, starting with the key's place, for a bad one."""
    values = {}
    for key, value in mapping.items():
        if key not in readers:
            raise TestbedError(f"{where}.{key}: unknown key; allowed are {', '.join(readers)}")
        values[key] = readers[key](value, f"{where}.{key}")
    return values


def require(mapping: Mapping[str, object], keys: tuple[str, ...], where: str) -> None:
    """TestbedError naming the first key that is missing."""
    for key in keys:
        if key not in mapping:
            raise TestbedError(f"{where}.{key}: this key is missing")
