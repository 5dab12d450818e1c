"""Points of a sweep: the same scenario with some values replaced.

Written as a grid, {KEY.KEY: [value, …], …}, of which every combination is a point, or as a list of
points, each {KEY.KEY: value, …}. Keys are those of `--set`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import product
from typing import Any, TypeAlias

from testbed.errors import TestbedError
from testbed.yaml_text import set_value

Values: TypeAlias = dict[str, Any]
"""What is replaced at one point, by key."""
Sweep: TypeAlias = dict[str, list[Any]] | list[Values]


def read_points(sweep: Sweep, where: str) -> list[Values]:
    """The values of each point; none without a sweep. Raises TestbedError."""
    if isinstance(sweep, list):
        points = sweep
    else:
        for key, values in sweep.items():
            if not values:
                raise TestbedError(f"{where}: sweep.{key}: at least one value is needed")
        points = [dict(zip(sweep, each, strict=True)) for each in product(*sweep.values())]
        points = points if sweep else []
    for point in points:
        if not point or any(key.split(".")[0] in {"sweep", "name", "topology"} for key in point):
            raise TestbedError(
                f"{where}: sweep: a point needs at least one key, and none of name, topology, sweep"
            )
    return points


def at_point(raw: Mapping[str, Any], values: Values, where: str) -> dict[str, Any]:
    """The scenario `raw` at one point."""
    result = {key: copy.deepcopy(value) for key, value in raw.items() if key != "sweep"}
    for key, value in values.items():
        set_value(result, key, copy.deepcopy(value), f"{where}: sweep.{key}")
    return result


def differences(base: Any, other: Any, path: str = "") -> Values:
    """What must be replaced in `base` to make `other` of it."""
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
    """A point for people: each key and its value."""
    return ", ".join(f"{key} {value}" for key, value in point.items())


def swept_keys(sweep: object) -> set[str]:
    """The keys of a sweep as parsed, whatever it is."""
    points = sweep if isinstance(sweep, list) else [sweep]
    return {str(key) for point in points if isinstance(point, dict) for key in point}
