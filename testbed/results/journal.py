"""journal.jsonl: what a call of `testbed run` did, one JSON line each, written when it was done.

A run, that is one method in one repetition at one point of the sweep, is told as a whole when it
has ended. So nothing that was measured is lost however the rest ends, and what has no line is to be
done again. Summary, verdict and environment are made of the journal.

The last field of each line, `crc32`, is a checksum of the line without it, so that a figure that
was changed is not believed. With it the journal vouches for the other files, too: `files` in a line
has the checksums of those that were whole then, see testbed.results.opening.
"""

from __future__ import annotations

import fcntl
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
    """A sandbox began to work."""

    session: int
    """0 in the first call, one more each time that the run is resumed."""
    jobs: int
    """How many work side by side."""
    environment: dict[str, Any]
    files: dict[str, Checksum] = {}
    """What was to be done: scenario.yaml, plan.json and the files they name, by their paths.

    Empty only where an older testbed began."""


class NetworkUp(_Line, kw_only=True, tag="network"):
    """A network was built and measured, for runs at one point."""

    session: int
    network: str
    """Names it in other lines."""
    point: Values
    processors: list[int]
    """Those that it and the nodes may use."""
    state: dict[str, Any]
    verdict: Verdict
    """On its links, as they were measured."""


class NetworkDown(_Line, kw_only=True, tag="network_end"):
    """All runs on a network have ended."""

    network: str
    state: dict[str, Any]


class RunEnded(_Line, kw_only=True, tag="run"):
    """A run has ended, and all that it wrote is whole."""

    network: str
    point: Values
    turn: RunId
    verdict: Verdict
    """On the run, its texts apart."""
    rows: list[Row]
    files: dict[str, Checksum] = {}
    """All that is in its folder; empty where an older testbed wrote it."""
    seconds: float = 0.0
    """What all its texts took together, from its beginning to its end."""
    unmet: list[str] = []
    """What links were asked to do that it did not meet, see testbed.links.unmet."""


class Discarded(_Line, kw_only=True, tag="discarded"):
    """A run that had ended counts no more: it was not valid, and is to be done once more."""

    session: int
    """That of its next time."""
    point: Values
    turn: RunId
    level: Level


class RunFailed(_Line, kw_only=True, tag="failed"):
    """A run began and could not end; it has no rows, and is done again when the rest is done."""

    session: int
    network: str
    point: Values
    turn: RunId
    reason: str


class Stopped(_Line, kw_only=True, tag="stopped"):
    """The runs at a point, or all of a sandbox, ended before their time."""

    session: int
    point: Values
    reason: str


class Concluded(_Line, kw_only=True, tag="concluded"):
    """Summary, verdict and environment were made of the lines above, as long as none follows."""

    files: dict[str, Checksum]


JournalEntry = (
    Began | NetworkUp | NetworkDown | RunEnded | RunFailed | Discarded | Stopped | Concluded
)


def append(folder: Path, record: JournalEntry) -> None:
    """Add a line to the journal in a folder; it is on the disk then. Raises OSError if it is not.

    A last line that was cut off, because its writer was killed or had no space, goes first.
    """
    path = folder / JOURNAL
    with naming(path), path.open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # sandboxes write side by side
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            file.seek(0)
            end = file.read().rfind(b"\n") + 1
            file.truncate(end)
            file.seek(end)
        line = memoryview(_line(record))
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())


def read(folder: Path) -> Iterator[JournalEntry]:
    """Every line of the journal in a folder but a last one that was cut off.

    All lines have checksums, or none has, where an older testbed wrote them. Raises TestbedError
    when there is no journal, it cannot be read, or a line is not as it was written.
    """
    decoder: msgspec.json.Decoder[JournalEntry] = msgspec.json.Decoder(JournalEntry)
    path = folder / JOURNAL
    checked: bool | None = None
    try:
        with naming(path), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # whoever still writes it may write on, and its rest is no line
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
    """A record with its checksum, as it is written."""
    return _line_of(msgspec.json.encode(record).removesuffix(b"}"))


def _line_of(content: bytes) -> bytes:
    """A line with this content, which lacks the last brace."""
    return content + b',"crc32":"%08x"}\n' % zlib.crc32(content + b"}")
