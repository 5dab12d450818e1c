"""CSV traces: recorded rate, delay and loss of one direction over time.

    time (s),rate (mbit),delay (ms),loss (%)
    0,12.5,20,0
    0.1,9.8,23,0.5

The first line names the columns: `time` and at least one other. A unit in brackets holds for the
whole column; without one, each value has its own, as in a scenario. Each row holds until the next.
Time 0 is when the link's schedule begins. While the rate is 0, packets wait.

Values are separated by commas, semicolons or tabs, whichever the first line has, and may be quoted;
numbers have a decimal point.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from testbed.errors import TestbedError
from testbed.links.files import at_line, read_lines
from testbed.links.spec import LinkSpec
from testbed.links.units import UNITS, OutOfBoundsError, parse_time

FROM_ZERO = "times count from 0 s, so take the first row's time off all rows"
"""The remedy for times of day, or since 1970, in error messages."""

_COLUMN = re.compile(r"(?P<name>time|rate|delay|loss)(?: ?[(\[](?P<unit>[^)\]]*)[)\]])?")
_UNITS = {"time": "time", "rate": "rate", "delay": "time", "loss": "percentage"}
_SEPARATORS = (",", ";", "\t")


class Row(NamedTuple):
    """Fields of a LinkSpec that hold from `time` (seconds) on, and file and line, for errors."""

    time: float
    values: dict[str, Any]
    place: str


def read_csv_trace(path: Path, where: str) -> Iterator[Row]:
    """Yield each row of a trace; `where` is the start of errors.

    Raises TestbedError, with file and line, for a line that is not a row, and for a time that is
    not later than the one above.
    """
    where = f"{where}: {path}"
    columns: list[tuple[str, str]] = []
    separator = _SEPARATORS[0]
    last = -1.0
    known: dict[tuple[str, str], Any] = {}  # parsed once, as values repeat
    for number, line in read_lines(path, where):
        place = at_line(where, number)
        if not columns:
            separator = next((each for each in _SEPARATORS if each in line), separator)
            columns = _read_columns(_cells(line, separator, place), place)
            continue
        cells = _cells(line, separator, place)
        if len(cells) != len(columns):
            comma = separator == "," and len(cells) > len(columns)
            advice = "; write numbers with a point, not a decimal comma" if comma else ""
            values = f"{len(cells)} value{'s' if len(cells) > 1 else ''}"
            raise TestbedError(f"{place}: {values} in {len(columns)} columns{advice}")
        if "" in cells:
            empty = columns[cells.index("")][0]
            raise TestbedError(f"{place}: the {empty} is empty; write it in each row")
        row = {name: cell + unit for (name, unit), cell in zip(columns, cells, strict=True)}
        text = row.pop("time")
        time = _read_time(text, place)
        if time <= last:
            raise TestbedError(f"{place}: time {text} is not later than the row above")
        last = time
        for each in row.items():
            if each not in known:
                known[each] = LinkSpec.parse_fields(dict([each]), place)[each[0]]
        yield Row(time, {name: known[name, text] for name, text in row.items()}, place)
    if last < 0:
        raise TestbedError(f"{where}: it has no rows; write at least one below the column names")


def _read_time(text: str, place: str) -> float:
    try:
        return parse_time(text)
    except OutOfBoundsError as error:
        raise TestbedError(f"{place}: {error}; {FROM_ZERO}") from None
    except ValueError as error:
        raise TestbedError(f"{place}: {error}") from None


def _cells(line: str, separator: str, place: str) -> list[str]:
    try:
        (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise TestbedError(f"{place}: it is not a row of CSV: {error}") from None
    return [cell.strip() for cell in cells]


def _read_columns(cells: list[str], place: str) -> list[tuple[str, str]]:
    """Return the name and unit of each column, in lower case; "" if a column has no unit."""
    columns = []
    for number, cell in enumerate(cells, 1):
        match = _COLUMN.fullmatch(cell.lower())
        if match is None:
            raise TestbedError(
                f"{place}: column {number} is unknown; there are time, rate, delay and loss, with "
                "a unit in brackets or none, e.g. 'rate (mbit)'"
            )
        name, unit = match["name"], (match["unit"] or "").strip()
        units = UNITS[_UNITS[name]]
        if unit not in ("", *units):
            raise TestbedError(
                f"{place}: column {number}: '{unit}' is not a unit of {name}; choose from "
                f"{', '.join(units)}"
            )
        columns.append((name, unit))
    names = [name for name, _ in columns]
    if "time" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise TestbedError(f"{place}: the columns must be time and some of the others, each once")
    return columns
