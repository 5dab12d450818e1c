"""As much of JSON schema as the project's schema uses; an unknown keyword is an error.

The project has no validator among its dependencies, and for this one test needs none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
NOTES = {"$schema", "$defs", "title", "description", "default", "examples", "discriminator"}


def valid(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Return True if `value`, as JSON or YAML gives it, follows `schema`, a part of `root`."""
    if isinstance(schema, bool):
        return schema
    return all(
        CHECKS[key](value, rule, schema, root) for key, rule in schema.items() if key not in NOTES
    )


def _ref(value: Any, rule: Any, schema: Any, root: Any) -> bool:
    prefix, name = rule.rsplit("/", 1)
    assert prefix == "#/$defs"
    return valid(value, root["$defs"][name], root)


def _type(value: Any, rule: Any, schema: Any, root: Any) -> bool:
    number = isinstance(value, bool) and rule != "boolean"
    return isinstance(value, TYPES[rule]) and not number


def _properties(value: Any, rule: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        valid(value[key], each, root) for key, each in rule.items() if key in value
    )


def _others(value: Any, rule: Any, schema: Any, root: Any) -> bool:
    return not isinstance(value, dict) or all(
        valid(each, rule, root)
        for key, each in value.items()
        if key not in schema.get("properties", {})
    )


def _of(kind: Any, test: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """Return a rule that holds only for values of one kind."""
    return lambda value, rule, schema, root: not isinstance(value, kind) or test(value, rule)


CHECKS: dict[str, Callable[..., bool]] = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _others,
    "required": _of(dict, lambda value, rule: all(key in value for key in rule)),
    "minProperties": _of(dict, lambda value, rule: len(value) >= rule),
    "items": lambda value, rule, schema, root: (
        not isinstance(value, list) or all(valid(each, rule, root) for each in value)
    ),
    "minItems": _of(list, lambda value, rule: len(value) >= rule),
    "maxItems": _of(list, lambda value, rule: len(value) <= rule),
    "anyOf": lambda value, rule, schema, root: any(valid(value, each, root) for each in rule),
    "allOf": lambda value, rule, schema, root: all(valid(value, each, root) for each in rule),
    "enum": lambda value, rule, schema, root: value in rule,
    "const": lambda value, rule, schema, root: value == rule and type(value) is type(rule),
    "pattern": _of(str, lambda value, rule: re.search(rule, value) is not None),
    "minLength": _of(str, lambda value, rule: len(value) >= rule),
    "maxLength": _of(str, lambda value, rule: len(value) <= rule),
    "minimum": _of((int, float), lambda value, rule: value >= rule),
    "maximum": _of((int, float), lambda value, rule: value <= rule),
    "exclusiveMinimum": _of((int, float), lambda value, rule: value > rule),
    "exclusiveMaximum": _of((int, float), lambda value, rule: value < rule),
}
