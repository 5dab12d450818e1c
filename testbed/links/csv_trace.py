"""Traces of what a direction did: a table of time, rate, delay and loss.

    time (s),rate (mbit),delay (ms),loss (%)
    0,12.5,20,0
    0.1,9.8,23,0.5

The first line names the columns: `time`, and any of the others. A unit in brackets goes for the
whole column; without one each value has its own, as in a scenario. Each row holds until the next.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.links.files import read_lines
from testbed.links.spec import LinkSpec
from testbed.links.units import parse_time

_COLUMN = re.compile(r"(time|rate|delay|loss)(?: \(([A-Za-z]+|%)\))?")


def read_csv_trace(path: Path, where: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """Each row's time in seconds and its fields of a LinkSpec.

    Raises TestbedError with file and line for what is no row, or one whose time does not grow.
    """
    columns: list[tuple[str, str]] = []
    last = -1.0
    for place, line in read_lines(path, where):
        cells = [cell.strip() for cell in line.split(",")]
        if not columns:
            columns = _read_columns(cells, place)
            continue
        if len(cells) != len(columns):
            raise TestbedError(f"{place}: {len(cells)} values in {len(columns)} columns")
        row = {name: cell + unit for (name, unit), cell in zip(columns, cells, strict=True)}
        text = row.pop("time")
        try:
            time = parse_time(text)
        except ValueError as error:
            raise TestbedError(f"{place}: {error}") from error
        if time <= last:
            raise TestbedError(f"{place}: time {text} is not later than the row above")
        last = time
        yield time, LinkSpec.parse_fields(row, place)
    if last < 0:
        raise TestbedError(f"{where}: {path}: it holds no row")


def _read_columns(cells: list[str], place: str) -> list[tuple[str, str]]:
    columns = []
    for number, cell in enumerate(cells, 1):
        match = _COLUMN.fullmatch(cell)
        if match is None:
            raise TestbedError(
                f"{place}: column {number} is unknown; there are time, rate, delay and loss, with "
                "a unit in brackets or none, e.g. 'rate (mbit)'"
            )
        columns.append((match[1], match[2] or ""))
    names = [name for name, _ in columns]
    if "time" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise TestbedError(f"{place}: the columns must be time and some of the others, each once")
    return columns
