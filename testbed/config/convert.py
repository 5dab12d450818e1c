"""From parsed YAML to typed data, with errors for the person who wrote it."""

from __future__ import annotations

import re
import reprlib
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from testbed.errors import TestbedError

T = TypeVar("T")
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<path>.*)`)?")
_FIELD = re.compile(r"Object (?P<problem>.*) field `(?P<name>.*)`")


def convert(raw: Any, kind: type[T], where: str) -> T:
    """`raw` as a `kind`, strictly.

    Raises TestbedError: one sentence that starts with `where` and the key, and says the value and
    what is allowed. `where` ends in what separates it from a key: "a.yaml: " or "methods[0].".
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        key, reason = _explain(str(error), raw, kind)
        place = where + key if key else where.rstrip(".: ")
        raise TestbedError(f"{place}: {reason}") from None


def _explain(message: str, raw: Any, kind: type) -> tuple[str, str]:
    """What msgspec says, in terms of the file: the key, "" for `raw` itself, and the reason."""
    parts = _MESSAGE.fullmatch(message)
    if parts is None:
        return "", message
    what, path = parts["what"], parts["path"] or ""
    value, types = raw, _flat(inspect.type_info(kind))
    for step in re.findall(r"[^.\[\]]+", path):
        types = [inner for outer in types for inner in _inside(outer, step)]
        value = value[step] if isinstance(value, dict) else value[int(step)]
        types = _named(types, value)
    if field := _FIELD.fullmatch(what):
        key = f"{path}.{field['name']}" if path else field["name"]
        if field["problem"] == "missing required":
            return key, "this key is missing"
        names = [f.name for t in types if isinstance(t, inspect.StructType) for f in t.fields]
        return key, f"unknown key; allowed are {', '.join(names) or 'none'}"
    if parts["key"]:
        odd = [key for key in value if not isinstance(key, str)]
        # Behind "[...]", any key of a mapping, msgspec does not say which one.
        return path, f"the key {odd[0]!r} is not a text" if odd else "a key in it is not a text"
    if what.startswith(("Invalid enum value", "Invalid value")):
        names = [str(v) for t in types if isinstance(t, inspect.LiteralType) for v in t.values]
        what = f"choose from {', '.join(names)}"
    what = what.replace("object", "mapping").replace("array", "list")
    shown = "" if value is None else f"{reprlib.repr(value)}: "
    return path, f"{shown}{what[0].lower()}{what[1:]}"


def _flat(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _named(types: list[inspect.Type], value: Any) -> list[inspect.Type]:
    """Of a union of tagged types the one that `value` names; all when it names none."""
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
    """The types that the field or item `step` of `outer` may have."""
    if isinstance(outer, inspect.StructType):
        if step == outer.tag_field:
            return [inspect.LiteralType((outer.tag,))]
        return next((_flat(field.type) for field in outer.fields if field.name == step), [])
    if isinstance(outer, inspect.ListType | inspect.VarTupleType):
        return _flat(outer.item_type)
    return []
