"""Types of values that files write in a special form, such as quantities with units.

The annotation of a field, not its value, decides the form: 0.02 is written "20ms" in a field that
holds a time, "2%" in one that holds a share. The annotation is therefore a subclass of Written,
whose `read` converts what YAML gave; type checkers see the type of the value instead:

    if TYPE_CHECKING:
        Time = float
    else:
        class Time(Written): ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard, get_args

import msgspec
from typing_extensions import override

Schema: TypeAlias = dict[str, Any]
"""A JSON schema."""


class FieldError(ValueError):
    """A value that is not allowed.

    `key` is the path below the value that was checked, "" for that value itself; `reason` is the
    error message.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key = key
        self.reason = reason


class _AnyValue(type):
    @override
    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec checks the result of `read`, which is of another type


class Written(metaclass=_AnyValue):
    """An annotation that reads and writes the values of a field."""

    @classmethod
    def read(cls, raw: object) -> Any:
        """Return the value for what YAML gave.

        Raises ValueError or TestbedError, with the reason, for what is not allowed.
        """
        raise NotImplementedError

    @classmethod
    def write(cls, value: Any) -> Any:
        """Return the form of a value that `read` takes; reading it gives the same value."""
        raise NotImplementedError

    @classmethod
    def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
        """Return the JSON schema of what `read` takes; `ref` gives the reference to a struct."""
        raise NotImplementedError


def is_written(kind: object) -> TypeGuard[type[Written]]:
    """Return True if an annotation is a subclass of Written."""
    return isinstance(kind, _AnyValue)


def write_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a struct by key, in the form that `convert` reads.

    A struct with `omit_defaults` leaves out the fields that have their default values.
    """
    omit = struct.__struct_config__.omit_defaults
    written = {}
    for field, kind in _fields(type(struct)):
        value = getattr(struct, field.name)
        if not (omit and value == field.default):
            written[field.encode_name] = value if kind is None else kind.write(value)
    return written


@functools.cache
def _fields(
    struct: type[msgspec.Struct],
) -> list[tuple[msgspec.structs.FieldInfo, type[Written] | None]]:
    """Return each field and its Written type, or None; optional fields are looked into."""
    return [
        (field, next((t for t in (field.type, *get_args(field.type)) if is_written(t)), None))
        for field in msgspec.structs.fields(struct)
    ]
