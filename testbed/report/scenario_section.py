"""The scenario of the results, in tables.

It may be of an older version, so nothing is assumed except that it is a mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.methods.base import methods
from testbed.output.formatting import as_yaml, shorten
from testbed.output.text_table import Table

_ELSEWHERE = {"name", "description", "links", "methods", "prompts", "sweep"}
"""Keys with tables of their own."""
_NOTHING = {"0us", "0%", "0ms", "0s", ""}
_DIRECTIONS = ("up", "down")


def lead(scenario: Mapping[str, Any]) -> str:
    """Return a summary of the scenario in one sentence; empty without a scenario."""
    if not scenario:
        return ""
    decoding = _mapping(scenario.get("decoding"))
    repeat, points = scenario.get("repeat", 1), len(_list(scenario.get("sweep")))
    parts = [
        f"{_count(len(_list(scenario.get('methods'))), 'method')} decode",
        _count(len(_list(scenario.get("prompts"))), "prompt"),
        f"with at most {as_yaml(decoding.get('max_new_tokens', '?'))} new tokens each",
        f"at temperature {as_yaml(decoding.get('temperature', '?'))}",
        f"on {_count(scenario.get('devices', 1), 'device')}",
        f"and a verifier at {as_yaml(scenario.get('verifier', '?'))}",
        f"in the topology {as_yaml(scenario.get('topology', '?'))}",
    ]
    parts += [f"at {_count(points, 'point')} of a sweep"] if points else []
    parts += [f"{as_yaml(repeat)} times over"] if repeat != 1 else []
    return " ".join(parts) + "."


def _count(number: Any, what: str) -> str:
    return f"{as_yaml(number)} {what}{'' if number == 1 else 's'}"


def settings_table(scenario: Mapping[str, Any]) -> Table:
    """Return the table of all settings without a table of their own."""
    table = Table("value", first="setting")
    for key, value in scenario.items():
        if key in _ELSEWHERE or value in (None, "", []):
            continue
        for path, each in _parts(key, value):
            table.add_row(path, as_yaml(each))
    return table


def links_table(scenario: Mapping[str, Any]) -> Table:
    """Return the table of links by direction, without settings that are zero in all of them."""
    directions = [
        (link, direction, spec[direction])
        for link, spec in _mapping(scenario.get("links")).items()
        for direction in _DIRECTIONS
        if isinstance(spec, dict) and isinstance(spec.get(direction), dict)
    ]
    keys = dict.fromkeys(
        key
        for _, _, asked in directions
        for key, value in asked.items()
        if as_yaml(value) not in _NOTHING
    )
    table = Table(*keys, first="link")
    for link, direction, asked in directions:
        cells = [as_yaml(asked[key]) if key in asked else "–" for key in keys]
        table.add_row(f"{link} {direction}", *cells)
    return table


def link_notes(scenario: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of each link that belong to no direction: schedules, a profile."""
    for link, spec in _mapping(scenario.get("links")).items():
        for key, value in _mapping(spec).items():
            if key not in _DIRECTIONS and value not in (None, [], ""):
                entries = value if isinstance(value, list) else [value]
                yield from (f"{link}: {key}: {as_yaml(entry)}" for entry in entries)


def methods_table(scenario: Mapping[str, Any]) -> Table:
    """Return the table of methods: label, description and resolved options."""
    known = methods()
    table = Table("description", "options", first="label")
    for entry in _list(scenario.get("methods")):
        options = {"method": entry} if isinstance(entry, str) else dict(_mapping(entry))
        name = str(options.pop("method", "?"))
        label = str(options.pop("label", name))
        said = known[name].summary if name in known else ""
        table.add_row(
            label,
            f"{name}: {said}" if said and name != label else said or name,
            ", ".join(f"{key} {as_yaml(each)}" for key, each in options.items() if each is not None)
            or "–",
        )
    return table


def sweep_table(points: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the sweep's keys and their values, in their order."""
    table = Table("values", first="key")
    for key in dict.fromkeys(key for point in points for key in point):
        values = dict.fromkeys(shorten(as_yaml(point[key])) for point in points if key in point)
        table.add_row(key, ", ".join(values))
    return table


def prompts(scenario: Mapping[str, Any]) -> list[str]:
    """Return the prompts of a scenario."""
    return [as_yaml(prompt) for prompt in _list(scenario.get("prompts"))]


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            if each is not None:
                yield from _parts(f"{path}.{key}", each)
    else:
        yield path, value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
