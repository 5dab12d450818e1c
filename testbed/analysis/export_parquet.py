"""Events of many runs as one Parquet file, a row per event, for pandas and similar tools."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.errors import TestbedError
from testbed.events import Event

_FIRST = ("run", "node", "stream", "event", "t", "dur", "backend")


def write_parquet(
    runs: Mapping[str, Iterable[Event]], path: Path, backend: str, note: str = ""
) -> None:
    """Write all events, each with its run and backend; a field that an event lacks is null.

    `note` says that the results are simulated, and in which range that was validated; it becomes
    the metadata `results` of the table.

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
    for event in events:
        event["backend"] = backend
    names = dict.fromkeys([*_FIRST, *(key for event in events for key in event)])
    columns = {name: [event.get(name) for event in events] for name in names}
    try:
        table = pa.table(columns, metadata={"results": note} if note else None)
    except (pa.ArrowException, OverflowError) as error:  # a field of two types, an endless number
        raise TestbedError(f"{path}: events do not fit into a table: {error}") from None
    parquet.write_table(table, path)
