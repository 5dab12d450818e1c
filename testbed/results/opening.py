"""Opening results: check once, before a command reads them, that no file was changed.

Each line of the journal has a checksum, and its lines hold the checksums of all other files: of
scenario.yaml, plan.json and their inputs when a session began, of a run's files when it had ended,
and of summary, verdict and environment at the end. So an added key, a changed value and a cut file
are all found, whichever command would have read the file, and no reader has to distinguish an
unknown key from one that another version knew.

Older testbeds wrote fewer checksums, or no journal. Then summary and verdict are compared with the
journal if there is one, and other files are only checked for their format when they are read.
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
from testbed.scenario.simulated import SIMULATED

_FILES = (
    "calibration.json", "environment.json", JOURNAL, "plan.json", "scenario.yaml", "summary.json",
    "verdict.json",
)  # fmt: skip
_GROWING = "*.jsonl"
"""Files that may grow after the end of their run, by a last event of a node."""
_LARGE = ("*.pcap*", "packets.*.gz")
"""Captures and packet logs, which few commands read."""
_ANEW = "restore it, or run the scenario anew"
_REMOVE = "restore it, or remove it"
_REMOVE_OR_COPY = f"{_REMOVE}, or copy the run's folder elsewhere, where it is read as it is"
_CONCLUDE = "restore it, or remove it, and `testbed run --resume` makes it anew"


class _Environment(msgspec.Struct):
    """The time at which the first session began, in environment.json."""

    began: str | None = None
    """None in results of older testbeds, which wrote no journal."""


def open_results(path: Path) -> Results:
    """Return the results in a directory. Raises TestbedError for missing or damaged ones."""
    if not any((path / name).is_file() for name in ("summary.json", JOURNAL)):
        raise TestbedError(f"{path}: no results there; it has no summary.json")
    results = Results(path)
    _require_undamaged(results)
    return results


def check_run(folder: Path) -> None:
    """Raise TestbedError if a file in the folder of a run was changed since the run ended.

    A folder that was copied out of its results is not checked: it has no journal.
    """
    folder = folder.resolve()
    results = Results(folder.parent.parent)
    _require_whole_run(results, folder)
    _require_undamaged(results)


def _require_undamaged(results: Results) -> None:
    """Raise TestbedError, naming the file, for results that were changed.

    Files of a run, and those made from the journal, may be missing. Of captures and packet logs
    only the sizes are compared here, because they are large; `_require_whole_run` compares all.
    """
    for name in _FILES:
        path = results.path / name
        if os.path.lexists(path) and not is_file(path):
            raise TestbedError(f"{path}: cannot be read: it is not a regular file; {_REMOVE}")
    if not (results.path / JOURNAL).exists():
        _require_older(results.path)
        if any((results.path / name).exists() for name in ("scenario.yaml", "plan.json")):
            results.summary()  # its rows must have the backend of plan.json
        _require_backend(results)
        return
    # Read before the journal: should a run end meanwhile, the journal has it in any case.
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
    results.require_one_backend([row for run in ended for row in run.rows], results.path / JOURNAL)
    _require_backend(results)


def _require_whole_run(results: Results, folder: Path) -> None:
    """Raise TestbedError for a file of a run, large ones included, that was changed.

    A run that has not ended, or one of an older testbed, has no checksums to compare with.
    """
    for run in results.ended() if (results.path / JOURNAL).exists() else ():
        if results.run_path(run.turn.method, run.turn.repeat, run.point) == folder:
            for name, was in _there(folder, run.files).items():
                _require_of_run(folder / name, was, remedy=_REMOVE_OR_COPY)


def _there(folder: Path, files: Mapping[str, Checksum]) -> dict[str, Checksum]:
    """Return those of the files that exist."""
    return {name: was for name, was in files.items() if os.path.lexists(folder / name)}


def _require_inputs(folder: Path, records: Sequence[JournalEntry]) -> None:
    """Raise TestbedError if scenario.yaml, plan.json or an input was changed or is missing."""
    for record in records:
        if isinstance(record, Began):
            for name, was in record.files.items():
                _require(folder / name, was, "the run was begun", _ANEW)


def _require_concluded(
    folder: Path, records: Sequence[JournalEntry], verdict: Verdict | None
) -> None:
    """Raise TestbedError for a summary, verdict or environment that was changed."""
    if not records or not isinstance(last := records[-1], Concluded):
        return
    # A `testbed run --resume` that was stopped leaves a verdict that says so.
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
    """Raise TestbedError for a file whose checksum differs; a `growing` one may be longer.

    `since` names the time of the checksum, and `remedy` what to do, both for the error.
    """
    if by_size and is_file(path):
        same = path.stat().st_size == was.size
    else:
        same = checksum(path, was.size if growing else sys.maxsize) == was
    if not same:
        raise TestbedError(f"{path}: it is not as it was when {since}; {remedy}")


def _require_backend(results: Results) -> None:
    """Raise TestbedError unless scenario and plan, or rows, agree on whether runs are simulated."""
    path = results.path / "scenario.yaml"
    if not path.exists():
        return
    asked, backend = results.scenario().get("backend"), results.backend()
    if (asked == SIMULATED) != (backend == SIMULATED):
        raise TestbedError(
            f"{path}: it asks for the backend {asked}, and the results have {backend}; {_ANEW}"
        )


def _require_older(folder: Path) -> None:
    """Raise TestbedError for a missing journal, unless an older testbed wrote the results."""
    path = folder / "environment.json"
    if path.exists() and stored_json.read(path, _Environment).began is not None:
        raise TestbedError(
            f"{folder / JOURNAL}: it is missing, and {path.name} was made of it; {_ANEW}"
        )


def _require_rows(
    folder: Path, summary: Summary, ended: Sequence[RunEnded], failed: Sequence[RunFailed]
) -> None:
    """Raise TestbedError unless summary.json and the journal have the same runs."""
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
    """Return True if a row of the summary is the one of the journal.

    Its verdict may be worse: that of the run and of the network is included in it.
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
    """Raise TestbedError for a verdict that is better than the worst one in the journal."""
    used = {run.network for run in ended}
    networks = [each for each in records if isinstance(each, NetworkUp) and each.network in used]
    levels = [each.verdict.level for each in networks]
    levels += ["invalid" for _ in used - {each.network for each in networks}]
    levels += [run.verdict.level for run in ended]
    levels += [row.verdict for run in ended for row in run.rows]
    least = worst(levels) if ended and not failed else "invalid"
    if worst([verdict.level, least]) != verdict.level:
        raise TestbedError(
            f"{folder / 'verdict.json'}: it says {verdict.level}, and by {JOURNAL} the run is "
            f"{least}; {_CONCLUDE}"
        )
