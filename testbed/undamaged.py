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
from typing import TYPE_CHECKING

import msgspec

from testbed import stored
from testbed.checksums import Checksum, checksum
from testbed.errors import TestbedError
from testbed.input_file import is_file
from testbed.journal import JOURNAL, Began, Concluded, NetworkUp, Record, read
from testbed.traces.summary import Row
from testbed.traces.verdict import UNFINISHED, Verdict, worst

if TYPE_CHECKING:
    from testbed.results import Results, Summary

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
_CONCLUDE = "restore it, or remove it, and `testbed run --resume` makes it anew"


class _Environment(msgspec.Struct):
    """What environment.json tells of the journal that it was made of."""

    began: str | None = None
    """None where an older testbed wrote no journal."""


def require_undamaged(results: Results) -> None:
    """Raise TestbedError, naming the file, for results that are not as they were written.

    A run's files may be missing, and so may what is made of the journal. Captures and packet logs
    are looked at by their sizes alone, see `require_whole_run`.
    """
    for name in _FILES:
        path = results.path / name
        if os.path.lexists(path) and not is_file(path):
            raise TestbedError(f"{path}: cannot be read: it is not a regular file")
    if not (results.path / JOURNAL).exists():
        _require_older(results.path)
        return
    # Before the journal, which has all of their runs whoever goes on with them meanwhile.
    summary = results.summary() if (results.path / "summary.json").exists() else None
    verdict = results.verdict() if (results.path / "verdict.json").exists() else None
    records = list(read(results.path))
    _require_inputs(results, records)
    for folder, files in _runs(results).items():
        for name, was in _there(folder, files).items():
            large = any(fnmatch(name, each) for each in _LARGE)
            _require_of_run(folder / name, was, by_size=large)
    _require_concluded(results, records, verdict)
    if summary:
        _require_rows(results, summary)
    if verdict:
        _require_level(results, verdict, records)


def require_whole_run(results: Results, folder: Path) -> None:
    """Raise TestbedError for a file of a run, large ones included, that is not as it was."""
    for name, was in _there(folder, _runs(results).get(folder, {})).items():
        _require_of_run(folder / name, was)


def _runs(results: Results) -> dict[Path, Mapping[str, Checksum]]:
    """The files of each run that has ended; none where there is no journal."""
    if not (results.path / JOURNAL).exists():
        return {}
    return {
        results.run_path(run.turn.method, run.turn.repeat, run.point): run.files
        for run in results.ended()
    }


def _there(folder: Path, files: Mapping[str, Checksum]) -> dict[str, Checksum]:
    """Those that are not missing."""
    return {name: was for name, was in files.items() if os.path.lexists(folder / name)}


def _require_inputs(results: Results, records: Sequence[Record]) -> None:
    """Raise TestbedError for a file of what was to be done that is not as it was, or is missing."""
    for record in records:
        if isinstance(record, Began):
            for name, was in record.files.items():
                _require(results.path / name, was, "the run was begun", _ANEW)


def _require_concluded(
    results: Results, records: Sequence[Record], verdict: Verdict | None
) -> None:
    """Raise TestbedError for a file of what was concluded that is not as it was."""
    if not records or not isinstance(last := records[-1], Concluded):
        return
    # Whoever concludes anew, and is killed, leaves a verdict that says so.
    unfinished = verdict is not None and any(UNFINISHED in each for each in verdict.reasons[:1])
    for name, was in _there(results.path, last.files).items():
        if not (name == "verdict.json" and unfinished):
            _require(results.path / name, was, "the run was concluded", _CONCLUDE)


def _require_of_run(path: Path, was: Checksum, *, by_size: bool = False) -> None:
    _require(
        path, was, "its run ended", _REMOVE, by_size=by_size, growing=fnmatch(path.name, _GROWING)
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
    if path.exists() and stored.read(path, _Environment).began is not None:
        raise TestbedError(
            f"{folder / JOURNAL}: it is missing, and {path.name} was made of it; {_ANEW}"
        )


def _require_rows(results: Results, summary: Summary) -> None:
    """Raise TestbedError unless summary.json has the runs of the journal."""
    rows = [row for run in results.ended() for row in run.rows]
    failed = [(run.turn.method, run.turn.repeat, run.point, run.reason) for run in results.failed()]
    if (
        len(rows) != len(summary.rows)
        or not all(map(_is_of, summary.rows, rows))
        or failed != [(run.method, run.repeat, run.point, run.reason) for run in summary.failed]
    ):
        raise TestbedError(
            f"{results.path / 'summary.json'}: it does not have the runs of {JOURNAL}; restore the "
            "one that was changed, or remove summary.json, and the journal's are taken"
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


def _require_level(results: Results, verdict: Verdict, records: Sequence[Record]) -> None:
    """Raise TestbedError for a verdict that is better than those on the runs and their networks."""
    networks = {each.network: each.verdict for each in records if isinstance(each, NetworkUp)}
    ended = results.ended()
    verdicts = [run.verdict for run in ended]
    verdicts += [networks[run.network] for run in ended if run.network in networks]
    rows = [row for run in ended for row in run.rows]
    least = worst([*(each.level for each in verdicts), *(row.verdict for row in rows)])
    if results.failed() or not ended:
        least = "invalid"
    if worst([verdict.level, least]) != verdict.level:
        raise TestbedError(
            f"{results.path / 'verdict.json'}: it says {verdict.level}, and by {JOURNAL} the runs "
            f"are {least}; {_CONCLUDE}"
        )
