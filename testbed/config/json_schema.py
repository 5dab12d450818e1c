"""JSON schemas for editors, made from the types that `convert` reads."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise

import msgspec
from msgspec import inspect as kinds

from testbed.config.written import Schema, is_written

Struct = type[msgspec.Struct]


class SchemaBuilder:
    """Collects the schemas of structs; docstrings of fields become their descriptions."""

    def __init__(self) -> None:
        self._wanted: list[Struct] = []

    def ref(self, struct: Struct) -> Schema:
        """Add a struct to those whose schema is needed; return the reference to its schema."""
        if struct not in self._wanted:
            self._wanted.append(struct)
        return {"$ref": f"#/$defs/{struct.__name__}"}

    def definitions(self) -> dict[str, Schema]:
        """Return the schemas of all added structs, and of those they refer to, by name."""
        count = -1
        found: dict[str, Schema] = {}
        while len(self._wanted) > count:  # schemas of Written types add further structs
            count = len(self._wanted)
            _, found = msgspec.json.schema_components(self._wanted, schema_hook=self._written)
        for struct in {each for wanted in self._wanted for each in _structs(wanted)}:
            schema = found[struct.__name__]
            if "description" in schema:
                schema["description"] = " ".join(schema["description"].split())
            for field in msgspec.structs.fields(struct):
                _describe(schema["properties"][field.encode_name], struct, field)
        return found

    def _written(self, kind: type) -> Schema:
        if not is_written(kind):
            raise NotImplementedError(f"{kind} is not a Written type, so it has no schema")
        return kind.json_schema(self.ref)


def _describe(schema: Schema, struct: Struct, field: msgspec.structs.FieldInfo) -> None:
    if (text := field_docstrings(struct).get(field.name)) is not None:
        schema["description"] = text
    if is_written(field.type) and "default" in schema:
        schema["default"] = field.type.write(field.default)


@functools.cache
def field_docstrings(struct: Struct) -> dict[str, str]:
    """Return the docstring below each field of a struct, by field; its source must be in a file."""
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if issubclass(each, msgspec.Struct) and each is not msgspec.Struct:
            found |= _module_docstrings(each.__module__).get(each.__name__, {})
    return found


@functools.cache
def _module_docstrings(module: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        node.name: dict(_fields_with_docstrings(node.body))
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def _fields_with_docstrings(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            yield field.target.id, " ".join(text.value.value.split())


def _structs(kind: type) -> Iterator[Struct]:
    """Yield each struct that occurs in a type, the type itself included."""
    yield from _structs_in(kinds.type_info(kind), set())


def _structs_in(kind: kinds.Type, seen: set[type]) -> Iterator[Struct]:
    if isinstance(kind, kinds.StructType):
        if kind.cls not in seen:
            seen.add(kind.cls)
            yield kind.cls
            for field in kind.fields:
                yield from _structs_in(field.type, seen)
    elif isinstance(kind, kinds.UnionType):
        for each in kind.types:
            yield from _structs_in(each, seen)
    elif isinstance(kind, kinds.ListType | kinds.VarTupleType):
        yield from _structs_in(kind.item_type, seen)
    elif isinstance(kind, kinds.DictType):
        yield from _structs_in(kind.value_type, seen)
