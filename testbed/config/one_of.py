"""Values that are written either as text or as one of several kinds of mapping."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from testbed.config.convert import convert_part
from testbed.config.written import Schema, Written


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mapping that is one way to write a value."""

    def value(self) -> Any:
        """Return the value. Raises FieldError for fields that do not go together."""
        return self


class OneOf(Written):
    """A value written as text, or as a mapping of one of several forms.

    A mapping is read as the first form that requires one of its keys, or else as the last form.
    """

    text: ClassVar[type[Written]]
    forms: ClassVar[tuple[type[Form], ...]]

    @override
    @classmethod
    def read(cls, raw: object) -> Any:
        if not isinstance(raw, Mapping):
            return cls.text.read(raw)
        matching = (form for form in cls.forms if any(key in raw for key in _required(form)))
        return convert_part(raw, next(matching, cls.forms[-1])).value()

    @override
    @classmethod
    def json_schema(cls, ref: Callable[[type[msgspec.Struct]], Schema]) -> Schema:
        return {"anyOf": [cls.text.json_schema(ref), *map(ref, cls.forms)]}


@functools.cache
def _required(form: type[Form]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(form) if field.required]
