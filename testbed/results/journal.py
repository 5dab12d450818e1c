"""journal.jsonl: the steps of `testbed run`, one JSON line each, written when the step was done.

A run (one method in one repetition at one point of the sweep) gets one line, when it has ended. So
whatever stops the rest, no finished measurement is lost, and a run without a line is done again.
Summary, verdict and environment are made from the journal.

The last field of each line, `crc32`, is a checksum of the line without it, so that a changed number
is found. `files` in a line has the checksums of the other files that were complete at that time;
testbed.results.opening compares them.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from testbed.errors import TestbedError
from testbed.files.checksums import Checksum
from testbed.files.lock import locked
from testbed.host.machine_errors import naming, sentence
from testbed.results import old_keys
from testbed.results.rows import Row
from testbed.results.verdict import Level, Verdict
from testbed.scenario.run_order import RunId
from testbed.scenario.sweep import Values

JOURNAL = "journal.jsonl"

_CHECKSUM = re.compile(rb',"crc32":"([0-9a-f]{8})"}\n$')


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class _Line(msgspec.Struct, tag_field="event", kw_only=True):
    t: str = msgspec.field(default_factory=_now)
    """The time of day, UTC."""


class Began(_Line, kw_only=True, tag="began"):
    """A sandbox began to work on its runs."""

    session: int
    """0 in the first call, one more each time that the run is resumed."""
    jobs: int
    """The number of sandboxes that work side by side."""
    environment: dict[str, Any]
    files: dict[str, Checksum] = {}
    """scenario.yaml, plan.json and the files they name, by their paths.

    Empty only in journals of older testbeds."""


class NetworkUp(_Line, kw_only=True, tag="network"):
    """A network was built and measured, for runs at one point."""

    session: int
    network: str
    """The name of the network in other lines."""
    point: Values
    processors: list[int]
    """CPUs that the network and its nodes may use."""
    state: dict[str, Any]
    verdict: Verdict
    """The verdict on its links, as they were measured."""


class NetworkDown(_Line, kw_only=True, tag="network_end"):
    """All runs on a network have ended."""

    network: str
    state: dict[str, Any]


class RunEnded(_Line, kw_only=True, tag="run"):
    """A run has ended, and all files that it wrote are complete."""

    network: str
    point: Values
    turn: RunId
    verdict: Verdict
    """The verdict on the run, without those of its generations."""
    rows: list[Row]
    files: dict[str, Checksum] = {}
    """All files in its folder; empty in journals of older testbeds."""
    seconds: float = 0.0
    """Seconds from the start of the run to its end."""
    unmet: list[str] = []
    """Parts of schedules and traces that the run was too short for, see testbed.links.unmet."""


class Discarded(_Line, kw_only=True, tag="discarded"):
    """A run that had ended is discarded: it was not valid, and is to be repeated."""

    session: int
    """The session that repeats it."""
    point: Values
    turn: RunId
    level: Level


class RunFailed(_Line, kw_only=True, tag="failed"):
    """A run began and could not end. It has no rows, and is repeated after all other runs."""

    session: int
    network: str
    point: Values
    turn: RunId
    reason: str


class Stopped(_Line, kw_only=True, tag="stopped"):
    """The runs at a point, or all runs of a sandbox, were stopped."""

    session: int
    point: Values
    reason: str


class Concluded(_Line, kw_only=True, tag="concluded"):
    """Summary, verdict and environment were made from the lines above; void if a line follows."""

    files: dict[str, Checksum]


JournalEntry = (
    Began | NetworkUp | NetworkDown | RunEnded | RunFailed | Discarded | Stopped | Concluded
)


def append(folder: Path, record: JournalEntry) -> None:
    """Append a line to the journal in a folder and sync it to disk. Raises OSError on failure.

    A last line that was cut off, because its writer was killed or the disk was full, is removed
    first.
    """
    path = folder / JOURNAL
    # Jobs write side by side.
    with naming(path), locked(path, wait=True), path.open("r+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
                file.seek(end)
        line = memoryview(_line(record))
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())


def read(folder: Path) -> Iterator[JournalEntry]:
    """Yield every line of the journal in a folder, except a last one that was cut off.

    Either all lines have checksums or, in journals of older testbeds, none has. Raises TestbedError
    when there is no journal, it cannot be read, or a line was changed.
    """
    decoder: msgspec.json.Decoder[JournalEntry] = msgspec.json.Decoder(JournalEntry)
    path = folder / JOURNAL
    checked: bool | None = None
    try:
        with naming(path), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # it may still be being written, and its rest is not a line
                found = _CHECKSUM.search(line)
                if checked is None:
                    checked = found is not None
                if checked and (found is None or _line_of(line[: found.start()]) != line):
                    raise _changed(path, number, "its checksum differs")
                try:
                    record = old_keys.decode(JOURNAL, decoder, line)
                except (ValueError, RecursionError) as error:
                    raise TestbedError(f"{path}: line {number} cannot be read: {error}") from None
                if not checked and found:
                    raise _changed(path, number - 1, "its checksum is missing")
                if not checked and isinstance(record, Began) and record.files:
                    raise _changed(path, number, "its checksum is missing")
                yield record
    except OSError as error:
        raise TestbedError(sentence(error)) from None


def _changed(path: Path, number: int, how: str) -> TestbedError:
    return TestbedError(
        f"{path}: line {number} is not as it was written: {how}; restore the file, or run the "
        "scenario anew"
    )


def _line(record: JournalEntry) -> bytes:
    """Return an entry as a line with its checksum."""
    return _line_of(msgspec.json.encode(record).removesuffix(b"}"))


def _line_of(content: bytes) -> bytes:
    """Return the line of an encoded entry, given without its last brace."""
    return content + b',"crc32":"%08x"}\n' % zlib.crc32(content + b"}")


def network_missing(name: str) -> str:
    """Return why runs on a network are invalid whose measurement the journal does not have."""
    return f"{JOURNAL} has no line of the network {name}"
