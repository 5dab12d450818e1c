"""Results are read only as they were written, which is checked once, when a command opens them.

The journal, each line of which has a checksum, has those of all other files: of what was to be done
(scenario.yaml, plan.json and their inputs) when a session began, of what a run left when it had
ended, and of what was concluded in the end. So a key that was added, a value that was changed and a
file that was cut are found alike, whichever command would have read the file, and no testbed has to
tell an unknown key from one that another testbed knew.

Older testbeds wrote fewer checksums, or no journal. Then summary and verdict are compared with the
journal if there is one, and other files are read as far as they are what they should be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.files import stored_json
from testbed.files.checksums import Checksum, checksum
from testbed.files.input_file import is_file
from testbed.results.directory import Results, Summary
from testbed.results.journal import (
    JOURNAL,
    Began,
    Concluded,
    JournalEntry,
    NetworkUp,
    RunEnded,
    RunFailed,
    read,
)
from testbed.results.rows import Row
from testbed.results.verdict import UNFINISHED, Verdict, worst

_FILES = (
    "calibration.json", "environment.json", JOURNAL, "plan.json", "scenario.yaml", "summary.json",
    "verdict.json",
)  # fmt: skip
_GROWING = "*.jsonl"
"""Nodes may write a last event when the run has ended already."""
_LARGE = ("*.pcap*", "packets.*.gz")
"""Captures and packet logs, which few commands read."""
_ANEW = "restore it, or run the scenario anew"
_REMOVE = "restore it, or remove it"
_REMOVE_OR_COPY = f"{_REMOVE}, or copy the run's folder elsewhere, where it is read as it is"
_CONCLUDE = "restore it, or remove it, and `testbed run --resume` makes it anew"


class _Environment(msgspec.Struct):
    """What environment.json tells of the journal that it was made of."""

    began: str | None = None
    """None where an older testbed wrote no journal."""


def open_results(path: Path) -> Results:
    """Return the results in a directory. Raises TestbedError if it holds none, or damaged ones."""
    if not any((path / name).is_file() for name in ("summary.json", JOURNAL)):
        raise TestbedError(f"{path}: no results there; it has no summary.json")
    results = Results(path)
    _require_undamaged(results)
    return results


def check_run(folder: Path) -> None:
    """Raise TestbedError unless all in the directory of a run is as it was when it ended.

    One that was copied out of its results has nothing to be compared with.
    """
    folder = folder.resolve()
    results = Results(folder.parent.parent)
    _require_whole_run(results, folder)
    _require_undamaged(results)


def _require_undamaged(results: Results) -> None:
    """Raise TestbedError, naming the file, for results that are not as they were written.

    A run's files may be missing, and so may what is made of the journal. Captures and packet logs
    are looked at by their sizes alone, see `_require_whole_run`.
    """
    for name in _FILES:
        path = results.path / name
        if os.path.lexists(path) and not is_file(path):
            raise TestbedError(f"{path}: cannot be read: it is not a regular file; {_REMOVE}")
    if not (results.path / JOURNAL).exists():
        _require_older(results.path)
        return
    # Before the journal, which has all of their runs whoever goes on with them meanwhile.
    summary = results.summary() if (results.path / "summary.json").exists() else None
    verdict = results.verdict() if (results.path / "verdict.json").exists() else None
    records = list(read(results.path))
    if not records and summary and (summary.rows or summary.failed):
        raise TestbedError(f"{results.path / JOURNAL}: it holds no line; {_ANEW}")
    if records and not isinstance(records[0], Began):
        raise TestbedError(
            f"{results.path / JOURNAL}: line 1 does not say how the run began; {_ANEW}"
        )
    _require_inputs(results.path, records)
    outcomes = results.outcomes()
    ended = [run for run in outcomes if isinstance(run, RunEnded)]
    failed = [run for run in outcomes if isinstance(run, RunFailed)]
    for run in ended:
        folder = results.run_path(run.turn.method, run.turn.repeat, run.point)
        for name, was in _there(folder, run.files).items():
            large = any(fnmatch(name, each) for each in _LARGE)
            _require_of_run(folder / name, was, by_size=large)
    _require_concluded(results.path, records, verdict)
    if summary:
        _require_rows(results.path, summary, ended, failed)
    if verdict:
        _require_level(results.path, verdict, records, ended, failed)


def _require_whole_run(results: Results, folder: Path) -> None:
    """Raise TestbedError for a file of a run, large ones included, that is not as it was.

    A run that has not ended, or was left by an older testbed, has nothing to be compared with.
    """
    for run in results.ended() if (results.path / JOURNAL).exists() else ():
        if results.run_path(run.turn.method, run.turn.repeat, run.point) == folder:
            for name, was in _there(folder, run.files).items():
                _require_of_run(folder / name, was, remedy=_REMOVE_OR_COPY)


def _there(folder: Path, files: Mapping[str, Checksum]) -> dict[str, Checksum]:
    """Return those of the files that are not missing."""
    return {name: was for name, was in files.items() if os.path.lexists(folder / name)}


def _require_inputs(folder: Path, records: Sequence[JournalEntry]) -> None:
    """Raise TestbedError for a file of what was to be done that is not as it was, or is missing."""
    for record in records:
        if isinstance(record, Began):
            for name, was in record.files.items():
                _require(folder / name, was, "the run was begun", _ANEW)


def _require_concluded(
    folder: Path, records: Sequence[JournalEntry], verdict: Verdict | None
) -> None:
    """Raise TestbedError for a file of what was concluded that is not as it was."""
    if not records or not isinstance(last := records[-1], Concluded):
        return
    # Whoever concludes anew, and is stopped, leaves a verdict that says so.
    unfinished = verdict is not None and "".join(verdict.reasons[:1]).startswith(UNFINISHED)
    for name, was in _there(folder, last.files).items():
        if not (name == "verdict.json" and unfinished):
            _require(folder / name, was, "the run was concluded", _CONCLUDE)


def _require_of_run(
    path: Path, was: Checksum, *, remedy: str = _REMOVE, by_size: bool = False
) -> None:
    _require(
        path, was, "its run ended", remedy, by_size=by_size, growing=fnmatch(path.name, _GROWING)
    )


def _require(
    path: Path,
    was: Checksum,
    since: str,
    remedy: str,
    *,
    by_size: bool = False,
    growing: bool = False,
) -> None:
    """Raise TestbedError for a file that is not as it was; a `growing` one may have become longer.

    `since` says when that was, and `remedy` what to do.
    """
    if by_size and is_file(path):
        same = path.stat().st_size == was.size
    else:
        same = checksum(path, was.size if growing else sys.maxsize) == was
    if not same:
        raise TestbedError(f"{path}: it is not as it was when {since}; {remedy}")


def _require_older(folder: Path) -> None:
    """Raise TestbedError if a journal is missing, which older testbeds alone did not write."""
    path = folder / "environment.json"
    if path.exists() and stored_json.read(path, _Environment).began is not None:
        raise TestbedError(
            f"{folder / JOURNAL}: it is missing, and {path.name} was made of it; {_ANEW}"
        )


def _require_rows(
    folder: Path, summary: Summary, ended: Sequence[RunEnded], failed: Sequence[RunFailed]
) -> None:
    """Raise TestbedError unless summary.json has the runs of the journal."""
    rows = [row for run in ended for row in run.rows]
    reasons = [(run.turn.method, run.turn.repeat, run.point, run.reason) for run in failed]
    if (
        len(rows) != len(summary.rows)
        or not all(map(_is_of, summary.rows, rows))
        or reasons != [(run.method, run.repeat, run.point, run.reason) for run in summary.failed]
    ):
        raise TestbedError(
            f"{folder / 'summary.json'}: it does not have the runs of {JOURNAL}; restore the one "
            "that was changed, or remove summary.json, and the journal's are taken"
        )


def _is_of(row: Row, noted: Row) -> bool:
    """Return True for a row as it was noted in the journal.

    Its verdict may be lower, by what was found of the run or the network.
    """
    count = len(noted.reasons)
    return (
        msgspec.structs.replace(row, verdict=noted.verdict, reasons=noted.reasons) == noted
        and worst([row.verdict, noted.verdict]) == row.verdict
        and row.reasons[:count] == noted.reasons
    )


def _require_level(
    folder: Path,
    verdict: Verdict,
    records: Sequence[JournalEntry],
    ended: Sequence[RunEnded],
    failed: Sequence[RunFailed],
) -> None:
    """Raise TestbedError for a verdict that is better than those of the journal."""
    used = {run.network for run in ended}
    networks = [each for each in records if isinstance(each, NetworkUp) and each.network in used]
    levels = [each.verdict.level for each in networks]
    levels += [run.verdict.level for run in ended]
    levels += [row.verdict for run in ended for row in run.rows]
    least = worst(levels) if ended and not failed else "invalid"
    if worst([verdict.level, least]) != verdict.level:
        raise TestbedError(
            f"{folder / 'verdict.json'}: it says {verdict.level}, and by {JOURNAL} the run is "
            f"{least}; {_CONCLUDE}"
        )
