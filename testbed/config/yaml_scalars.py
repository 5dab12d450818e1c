"""Words and numbers of YAML without quotes: those with two possible meanings are refused.

YAML 1.1, which PyYAML reads, takes `010` for 8, `1:30` for 90, `no` for false and `1e3` for text;
YAML 1.2 and most people do not. Here numbers with exponents are numbers, and an ambiguous word or
number is an error unless it is in quotes. The writer puts quotes around the same texts.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from typing_extensions import override

_NUMBER = re.compile(
    r"[-+]?(?:[0-9]+[eE][-+]?[0-9]+|(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?)$"
)
_NUMBER_TAG = "tag:yaml.org,2002:float"
_EXACT = 1 << 53
"""The largest float up to which every whole number is exact."""
_QUOTES = "or in quotes if it is a text"
_AMBIGUOUS = {
    "octal": (
        r"[-+]?0(?:o[0-7_]*|[0-9_]+)$",
        f"may be octal; write it without leading zeros, {_QUOTES}",
    ),
    "sexagesimal": (
        r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$",
        f"is a number of base 60 in YAML; write it as a plain number, {_QUOTES}",
    ),
    "underscored": (
        r"(?=.*_)[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?$",
        f"has underscores; write the number without them, {_QUOTES}",
    ),
    "word": (
        r"(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$",
        f"may be a truth value or a word; write true or false, {_QUOTES}",
    ),
    "tilde": (r"~$", f"stands for nothing in YAML; write null, {_QUOTES}"),
    "infinite": (
        r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        f"is not a finite number; write one, {_QUOTES}",
    ),
}
"""The kinds of scalars without quotes that are refused: their form, and the end of the error."""
_DATE = "tag:yaml.org,2002:timestamp"


def _with_resolvers(known: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return PyYAML's resolvers, by first letter, after those of the refused kinds."""
    refused = [(f"!{kind}", re.compile(form)) for kind, (form, _) in _AMBIGUOUS.items()]
    number = (_NUMBER_TAG, _NUMBER)
    signs = "-+.0123456789"
    first = {*known, *signs, "~"}
    return {
        letter: [*refused, *known.get(letter, []), *([number] if letter in signs else [])]
        for letter in first
    }


class Loader(yaml.SafeLoader):
    """Refuses scalars with two possible meanings; reads 1e3 as a number."""

    yaml_implicit_resolvers = _with_resolvers(yaml.SafeLoader.yaml_implicit_resolvers)

    @override
    def construct_yaml_float(self, node: yaml.ScalarNode) -> int | float:
        """Return the number; a whole one with an exponent, such as 1e3, is an int.

        Raises ConstructorError for a number that is too large for a float.
        """
        value = float(node.value)
        if not math.isfinite(value):
            _refuse(node, f"is not a finite number; write a smaller one, {_QUOTES}")
        whole = "e" in node.value.lower() and value.is_integer() and abs(value) <= _EXACT
        return int(value) if whole else value


class Dumper(yaml.SafeDumper):
    """Writes every text so that it is read back unchanged; PyYAML itself loses U+0085."""

    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\x85" in text else None
    )


def _refuse(node: yaml.ScalarNode, why: str) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"{node.value} {why}", node.start_mark)


def _construct_ambiguous(loader: Loader, node: yaml.ScalarNode) -> None:
    _refuse(node, _AMBIGUOUS[node.tag[1:]][1])


def _construct_date(loader: Loader, node: yaml.ScalarNode) -> None:
    _refuse(node, "is a date in YAML; write it in quotes")


Dumper.add_representer(str, _represent_text)
Loader.add_constructor(_NUMBER_TAG, Loader.construct_yaml_float)
Loader.add_constructor(_DATE, _construct_date)
for _kind in _AMBIGUOUS:
    Loader.add_constructor(f"!{_kind}", _construct_ambiguous)
