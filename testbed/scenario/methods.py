"""The methods of a scenario, each with its options and a label of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from testbed.bounds import Name
from testbed.config.convert import convert
from testbed.errors import TestbedError
from testbed.methods.base import method_class, parse_options
from testbed.scenario.names import NAME, NAMING_RULE


@dataclass(frozen=True)
class MethodEntry:
    """A method with its options, and the label that names it in results."""

    label: str
    method: str
    options: dict[str, Any]
    uses_verifier: bool


def check_methods(raw: list[str | dict[str, Any]], where: str) -> list[MethodEntry]:
    """Read the methods of a scenario, options at their defaults filled in.

    Raises TestbedError when there is none, a label is taken, or a name or an option is unknown.
    """
    if not raw:
        raise TestbedError(f"{where}: methods: at least one is needed (see `testbed methods`)")
    entries: list[MethodEntry] = []
    for i, item in enumerate(raw):
        place = f"{where}: methods[{i}]"
        options = {"method": item} if isinstance(item, str) else dict(item)
        if "method" not in options:
            raise TestbedError(f"{place}.method: this key is missing")
        name = convert(str(options.pop("method")), Name, f"{place}.method: ")
        label = convert(str(options.pop("label", name)), Name, f"{place}.label: ")
        kind = method_class(name, place)
        if not NAME.fullmatch(label):
            raise TestbedError(f"{place}.label: '{label}' is not a label; {NAMING_RULE}")
        if label in [entry.label for entry in entries]:
            raise TestbedError(f"{place}.label: '{label}' is taken; give each method its own label")
        filled: dict[str, Any] = msgspec.to_builtins(parse_options(kind, options, place))
        entries.append(MethodEntry(label, name, filled, kind.uses_verifier))
    return entries
