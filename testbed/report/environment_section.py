"""The environment of the runs, and the measurements of their links, in tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from testbed.output.formatting import as_yaml
from testbed.output.text_table import Table
from testbed.results.link_check import Check, format_limits, format_value
from testbed.scenario.simulated import SIMULATED

_HIDDEN = {"networks"}
"""Keys left out of the page: addresses and offloads of every host."""


def environment_table(environment: Mapping[str, Any], plans: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of the links' backend, the models, versions and the machine."""
    table = Table("value", first="what")
    for key in ("backend", "target", "draft"):
        values = dict.fromkeys(_named(plan[key]) for plan in plans if plan.get(key))
        if values:
            by_links = key == "backend" and SIMULATED not in values
            table.add_row("links by" if by_links else key, "; ".join(values))
    for key, value in _order(environment):
        if isinstance(value, dict):
            for name, each in value.items():
                if each is not None:
                    table.add_row(name, as_yaml(each))
        elif key == "load" and isinstance(value, list):
            table.add_row("load before", ", ".join(map(_load, value)))
        elif value is not None:
            table.add_row(key, as_yaml(value))
    return table


def checks_table(checks: Sequence[Check]) -> Table:
    """Return the table of the links' measurements before the runs, in the order they were made."""
    table = Table("requested", "measured", "limit", "outcome", "note", first="link")
    for check in checks:
        table.add_row(
            f"{check.link} {check.direction}: {check.name}",
            format_value(check.requested, check.unit),
            format_value(check.measured, check.unit),
            format_limits(check),
            check.outcome,
            check.note,
        )
    return table


def _order(environment: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of environment.json, those that say most about the results first."""
    firsts = [key for key in ("packages", "commit") if key in environment]
    yield from ((key, environment[key]) for key in firsts)
    yield from (
        (key, value) for key, value in environment.items() if key not in {*firsts, *_HIDDEN}
    )


def _load(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else as_yaml(value)


def _named(value: Any) -> str:
    """Return a model's name, with its settings that differ from the default in brackets."""
    if not isinstance(value, dict):
        return as_yaml(value)
    if isinstance(text := value.get("text"), dict):
        return f"{text.get('name', '?')} (served at {value.get('address', '?')})"
    others = [
        f"{key} {as_yaml(each)}"
        for key, each in value.items()
        if each and key not in {"type", "name", "path", "operators"}
    ]
    return f"{value.get('name', '?')} ({', '.join(others)})"
