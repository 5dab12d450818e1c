"""Conversion of parsed YAML to typed data, with errors in terms of the file."""

from __future__ import annotations

import re
import reprlib
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from testbed.config.written import FieldError, is_written
from testbed.errors import TestbedError

T = TypeVar("T")
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<path>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<problem>.*) field `(?P<name>.*)`")


def convert(raw: Any, kind: type[T], where: str) -> T:
    """Return `raw` as a `kind`, strictly.

    `where` is the start of errors and ends with what separates it from a key: "a.yaml: " or
    "methods[0].". Raises TestbedError: `where`, the key, the value and what is allowed.
    """
    try:
        return convert_part(raw, kind)
    except FieldError as error:
        place = where + error.key if error.key else where.rstrip(".: ")
        raise TestbedError(f"{place}: {error.reason}") from None


def convert_part(raw: Any, kind: type[T]) -> T:
    """Return `raw` as a `kind` like `convert`, but raise FieldError, which names only the key."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise _explain(error, raw, kind) from None


def _read(kind: type, raw: Any) -> Any:
    """Read a value of a Written type. Raises FieldError for a value that it refuses."""
    if not is_written(kind):
        raise NotImplementedError(f"{kind} is not a Written type, so it cannot be read")
    try:
        return kind.read(raw)
    except FieldError:
        raise
    except (ValueError, TestbedError) as error:
        raise FieldError("", str(error)) from None


def _explain(error: msgspec.ValidationError, raw: Any, kind: type) -> FieldError:
    """Translate an error of msgspec into the key in the file and the reason."""
    parts = _MESSAGE.fullmatch(str(error))
    assert parts is not None
    what, path = parts["what"], parts["path"] or ""
    if isinstance(error.__cause__, FieldError):
        return FieldError(_below(path, error.__cause__.key), error.__cause__.reason)
    value, types = raw, _flat(inspect.type_info(kind))
    for step in re.findall(r"[^.\[\]]+", path):
        types = [inner for outer in types for inner in _inside(outer, step)]
        value = value[step] if isinstance(value, dict) else value[int(step)]
        types = _named(types, value)
    if field := _FIELD.fullmatch(what):
        key = _below(path, field["name"])
        if field["problem"] == "missing required":
            return FieldError(key, "this key is missing")
        structs = [t for t in types if isinstance(t, inspect.StructType)]
        names = [field.encode_name for struct in structs for field in struct.fields]
        return FieldError(key, f"unknown key; allowed are {', '.join(names) or 'none'}")
    if parts["key"]:
        odd = [key for key in value if not isinstance(key, str)]
        # msgspec writes "[...]" for any key of a mapping, so the key is looked for here.
        return FieldError(
            path, f"the key {odd[0]!r} is not a text" if odd else "a key in it is not a text"
        )
    if what.startswith(("Invalid enum value", "Invalid value")):
        names = [str(v) for t in types if isinstance(t, inspect.LiteralType) for v in t.values]
        what = f"choose from {', '.join(names)}"
    what = what.replace("object", "mapping").replace("array", "list")
    shown = "" if value is None else f"{reprlib.repr(value)}: "
    return FieldError(path, f"{shown}{what[0].lower()}{what[1:]}")


def _below(path: str, key: str) -> str:
    """Join the path of a value and a key in it; either may be empty."""
    return path + ("." if path and key and not key.startswith("[") else "") + key


def _flat(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _named(types: list[inspect.Type], value: Any) -> list[inspect.Type]:
    """Return the type of a tagged union that `value` names, or all types if it names none."""
    named: list[inspect.Type] = [
        t
        for t in types
        if isinstance(t, inspect.StructType)
        and t.tag_field
        and isinstance(value, dict)
        and value.get(t.tag_field) == t.tag
    ]
    return named or types


def _inside(outer: inspect.Type, step: str) -> list[inspect.Type]:
    """Return the types that the field or item `step` of `outer` may have."""
    if isinstance(outer, inspect.StructType):
        if step == outer.tag_field:
            return [inspect.LiteralType((outer.tag,))]
        return next((_flat(field.type) for field in outer.fields if field.encode_name == step), [])
    if isinstance(outer, inspect.ListType | inspect.VarTupleType):
        return _flat(outer.item_type)
    return []
