"""Types of values that files write in a form of their own, such as quantities with units.

Which form it is follows from the annotation of a field, not from the value: 0.02 is written "20ms"
where a field holds a time, "2%" where it holds a share. So a class stands in the annotation that
msgspec hands to `read`; type checkers see the type of the value in its place:

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

Schema: TypeAlias = dict[str, Any]
"""A JSON schema."""


class FieldError(ValueError):
    """A value that cannot be: the key below what was checked, "" for itself, and the reason."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key = key
        self.reason = reason


class _AnyValue(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return True  # msgspec asks it of what `read` has returned


class Written(metaclass=_AnyValue):
    """An annotation: how the values of a field are read and written."""

    @classmethod
    def read(cls, raw: object) -> Any:
        """Return the value of what YAML gave; ValueError or TestbedError with the reason."""
        raise NotImplementedError

    @classmethod
    def write(cls, value: Any) -> Any:
        """Write a value so that `read` returns the same."""
        raise NotImplementedError

    @classmethod
    def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
        """Return the JSON schema of what `read` takes; `ref` refers to that of a struct."""
        raise NotImplementedError


def is_written(kind: object) -> TypeGuard[type[Written]]:
    """Return True for an annotation that is a Written."""
    return isinstance(kind, _AnyValue)


def write_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Write the fields of a struct by its key, as `convert` reads them.

    Fields at their defaults are left out where the struct says `omit_defaults`.
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
    """Each field, and how it is written if in a form of its own, be it optional or not."""
    return [
        (field, next((t for t in (field.type, *get_args(field.type)) if is_written(t)), None))
        for field in msgspec.structs.fields(struct)
    ]
