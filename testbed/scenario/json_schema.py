"""The JSON schema of scenarios, for editors.

It accepts every scenario that loads. It refuses mistakes that concern one key: a key that is
unknown or missing, a value of the wrong type or without its unit. Rules that concern several keys
are checked only when a scenario is loaded.
"""

from __future__ import annotations

from msgspec import Struct

from testbed.config.json_schema import SchemaBuilder, field_docstrings
from testbed.config.written import Schema
from testbed.links.handovers import Handover
from testbed.links.impairments.base import impairments
from testbed.links.profiles import PROFILES
from testbed.links.schedule_syntax import Change
from testbed.links.spec import LinkSpec, SomeFields
from testbed.methods.base import Method, methods
from testbed.prompts.reader import SOURCES
from testbed.scenario.schema import Directions, ScenarioSpec

_LABEL = "The name in results, e.g. dssd_8; by default that of the method."
_TRACE = "CSV file of time and rate, delay or loss, which this direction follows"


def scenario_schema() -> Schema:
    """Return the schema of a scenario file."""
    builder = SchemaBuilder()
    parts: list[type[Struct]] = [ScenarioSpec, Directions, SomeFields, Change, Handover]
    sources = SOURCES.values()
    options = [kind.Options for kind in methods().values()]
    refs = {struct: builder.ref(struct) for struct in [*parts, *sources, *options]}
    found = builder.definitions()
    scenario, link = (found[each.__name__]["properties"] for each in (ScenarioSpec, Directions))
    scenario["links"]["additionalProperties"] = refs[Directions]
    scenario["handovers"]["items"] = refs[Handover]
    scenario["prompts"]["items"]["anyOf"][1:] = [refs[source] for source in sources]
    scenario["methods"]["items"]["anyOf"] = [
        {"enum": list(methods())},
        *(_method(kind, found[kind.Options.__name__]) for kind in methods().values()),
    ]
    for struct in {*options}:
        del found[struct.__name__]
    _describe_fields(found[SomeFields.__name__])
    found["Direction"] = _with_trace(found[SomeFields.__name__])
    link["up"] |= {"$ref": "#/$defs/Direction"}
    link["down"] |= {"$ref": "#/$defs/Direction"}
    link["changes"]["items"] = refs[Change]
    link["profile"] = {**link["profile"], "examples": list(PROFILES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **refs[ScenarioSpec],
        "$defs": found,
    }


def _method(kind: type[Method], options: Schema) -> Schema:
    """Return the schema of a method with its options."""
    named = {
        "method": {"const": kind.name, "description": "The name of the method."},
        "label": {"type": "string", "description": _LABEL},
    }
    return {
        **options,
        "title": kind.name,
        "description": kind.summary,
        "properties": {**named, **options["properties"]},
        "required": ["method", *options["required"]],
    }


def _describe_fields(fields: Schema) -> None:
    """Add a description to each key of a direction, in place."""
    texts = field_docstrings(LinkSpec) | {kind.key: kind.summary for kind in impairments()}
    for key, schema in fields["properties"].items():
        schema["description"] = texts[key]


def _with_trace(fields: Schema) -> Schema:
    """Return the schema of a direction: the fields of a link and `trace`."""
    trace = {"type": "string", "description": _TRACE}
    return {**fields, "title": "Direction", "properties": {**fields["properties"], "trace": trace}}
