"""Points of a sweep: the same scenario with some values replaced.

A sweep is a grid, {KEY.KEY: [value, …], …}, of which every combination is a point, or a list of
points, each {KEY.KEY: value, …}. Keys are written as for `--set`.

Under `zip` in a grid, {zip: {KEY.KEY: [value, …], …}}, keys change together: the first value of one
with the first value of the others, and so on. `zip` may also be a list of several such groups.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any, TypeAlias

from testbed.bounds import MOST_POINTS
from testbed.config.yaml_loader import set_value
from testbed.errors import TestbedError

Values: TypeAlias = dict[str, Any]
"""The values replaced at one point, by key."""
Sweep: TypeAlias = dict[str, list[Any] | dict[str, list[Any]]] | list[Values]
_ZIP = "zip"
_FIXED = ("name", "topology", "backend", "sweep")
"""Keys that are the same at all points, which share a directory and how it came about."""


def read_points(sweep: Sweep, where: str) -> list[Values]:
    """Return the values of each point; an empty list without a sweep.

    Raises TestbedError for too many points, a key named twice, or a key that cannot be swept.
    """
    if isinstance(sweep, list):
        points = sweep
    else:
        entries = list(_entries(sweep))
        named = Counter(name for key, values in entries for name in _names(key, values))
        if twice := [name for name, count in named.items() if count > 1]:
            raise TestbedError(f"{where}: sweep: {twice[0]} is named twice")
        _check_number(_combinations(entries), where)
        axes = [list(_axis(key, values, f"{where}: sweep.{key}")) for key, values in entries]
        points = [dict(chain.from_iterable(each)) for each in product(*axes)] if sweep else []
    _check_number(len(points), where)
    for point in points:
        if not point or any(key.split(".")[0] in _FIXED for key in point):
            raise TestbedError(
                f"{where}: sweep: a point needs at least one key, and none of {', '.join(_FIXED)}"
            )
    return points


def _combinations(entries: Iterable[tuple[str, Any]]) -> int:
    """Count the points of a grid; keys that change together are one axis."""
    columns = (
        next(iter(each.values()), []) if isinstance(each, dict) else each for _, each in entries
    )
    return math.prod(len(column) for column in columns)


def _check_number(points: int, where: str) -> None:
    if points > MOST_POINTS:
        raise TestbedError(
            f"{where}: sweep: it has {points:,} points; at most {MOST_POINTS:,} are allowed"
        )


def _entries(sweep: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each key with its values, and `zip` with each group of keys that change together."""
    for key, values in sweep.items():
        several = values if key == _ZIP and isinstance(values, list) and values else [values]
        yield from ((key, each) for each in several)


def _names(key: str, values: Any) -> Iterable[str]:
    """Return the keys of an entry."""
    return map(str, values) if isinstance(values, dict) else [key]


def _axis(
    key: str, values: list[Any] | dict[str, list[Any]], where: str
) -> Iterator[list[tuple[str, Any]]]:
    """Yield the (key, value) pairs that one entry of a grid replaces, for each of its values."""
    if isinstance(values, dict) != (key == _ZIP):
        known = f"{{{_ZIP}: {{KEY: [value, …], …}}}}"
        raise TestbedError(f"{where}: give a list of values, or keys that change together: {known}")
    together = values if isinstance(values, dict) else {key: values}
    lengths = {name: len(each) for name, each in together.items()}
    if not all(lengths.values()) or not lengths:
        raise TestbedError(f"{where}: at least one value is needed")
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise TestbedError(f"{where}: {counts}; keys that change together need equally many values")
    for each in zip(*together.values(), strict=True):
        yield list(zip(together, each, strict=True))


def at_point(raw: Mapping[str, Any], values: Values, where: str) -> dict[str, Any]:
    """Return the mapping of the scenario at one point; `raw` is not changed."""
    result = {key: copy.deepcopy(value) for key, value in raw.items() if key != "sweep"}
    for key, value in values.items():
        set_value(result, key, copy.deepcopy(value), f"{where}: sweep.{key}")
    return result


def differences(base: Any, other: Any, path: str = "") -> Values:
    """Return the values, by key, that turn `base` into `other` when they are replaced in it."""
    if isinstance(base, dict) and isinstance(other, dict) and base.keys() == other.keys():
        pairs = [(key, base[key], other[key]) for key in base]
    elif isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(base, other, strict=True))]
    else:
        return {} if base == other else {path: other}
    found: Values = {}
    for key, mine, its in pairs:
        found |= differences(mine, its, f"{path}.{key}" if path else key)
    return found


def point_text(point: Values) -> str:
    """Write a point as text: each key and its value."""
    return ", ".join(f"{key} {_value_text(value)}" for key, value in point.items())


def _value_text(value: object) -> str:
    """Write a value as text; a long one is cut in its middle, as prompts differ at the ends."""
    text = str(value)
    return text if len(text) <= 120 else f"{text[:70]} … {text[-45:]}"


def short_key(key: str) -> str:
    """Shorten a key: links.radio.up.rate to "radio up rate", decoding.top_p to "top_p".

    The index of a list keeps the key before it: prompts.0 stays as it is.
    """
    parts = key.split(".")
    if parts[0] == "links":
        return " ".join(parts[1:])
    return ".".join(parts[-2:]) if parts[-1].isdecimal() else parts[-1]


def namer(points: Iterable[Values]) -> Callable[[Values], str]:
    """Return a function that names one of these points by its keys and values, in short.

    Of keys that change together only the first is shown.
    """
    every = list(points)
    named = {group[0] for group in axes_of(every)}
    if not alike(every):
        named = {key for point in every for key in point}
    return lambda point: ", ".join(
        f"{short_key(key)} {_value_text(value)}" for key, value in point.items() if key in named
    )


def alike(points: Sequence[Values]) -> bool:
    """Return True if all points have the same keys, as in a grid; those of a list may differ."""
    return all(point.keys() == points[0].keys() for point in points)


def axes_of(points: Sequence[Values]) -> list[list[str]]:
    """Return the keys of points in groups: keys that change together are in one group."""
    groups: list[list[str]] = []
    for key in points[0] if points else ():
        group = next((each for each in groups if _follows(key, each[0], points)), None)
        if group is None:
            groups.append([key])
        else:
            group.append(key)
    return groups


def _follows(key: str, other: str, points: Sequence[Values]) -> bool:
    """Return True if `key` varies, and each value of `other` goes with one value of `key`."""
    pairs = {(str(point.get(other)), str(point.get(key))) for point in points}
    values = {value for _, value in pairs}
    return 1 < len(values) <= len(pairs) == len({first for first, _ in pairs})


def swept_keys(sweep: object) -> set[str]:
    """Return the keys of a sweep as parsed; it need not be valid."""
    points = sweep if isinstance(sweep, list) else [sweep]
    each = [point for point in points if isinstance(point, dict)]
    return {name for point in each for entry in _entries(point) for name in _names(*entry)}
