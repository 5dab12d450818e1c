"""Events of many runs as one Parquet file, a row per event, for pandas and similar tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.errors import TestbedError
from testbed.events import Event

_FIRST = ("run", "node", "stream", "event", "t", "dur")


def write_parquet(runs: Mapping[str, Iterable[Event]], path: Path) -> None:
    """Write all events, each with the name of its run; a field that an event lacks is null.

    Raises TestbedError where pyarrow, which is optional, is not installed, or where events do not
    fit into a table.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  optional
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise TestbedError(
            f"Parquet needs the package pyarrow; {sys.executable} -m pip install pyarrow does that"
        ) from None
    events = [{"run": run, **event} for run, mine in runs.items() for event in mine]
    names = dict.fromkeys([*_FIRST, *(key for event in events for key in event)])
    columns = {name: [event.get(name) for event in events] for name in names}
    try:
        table = pa.table(columns)
    except (pa.ArrowException, OverflowError) as error:  # a field of two types, an endless number
        raise TestbedError(f"{path}: events do not fit into a table: {error}") from None
    parquet.write_table(table, path)
