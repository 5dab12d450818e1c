"""The results directory: one per call of `testbed run`, self-describing, never overwritten.

`Results` has the paths, the files and the lock; testbed.results.scenario_file writes scenario.yaml,
and testbed.results.outcomes reads from the journal how each run ended.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from fnmatch import fnmatch
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.config.convert import convert
from testbed.config.yaml_loader import parse_yaml
from testbed.errors import TestbedError
from testbed.events import Event, read_events
from testbed.files import stored_json
from testbed.files.input_file import read_text
from testbed.files.lock import HeldError, locked
from testbed.files.whole_file import write_whole
from testbed.results import old_keys
from testbed.results.journal import (
    JOURNAL,
    Discarded,
    NetworkUp,
    RunEnded,
    RunFailed,
    network_missing,
    read,
)
from testbed.results.outcomes import last_outcomes
from testbed.results.rows import EMULATED, Row
from testbed.results.scenario_file import write_scenario
from testbed.results.verdict import Verdict, worst
from testbed.scenario.schema import Energy
from testbed.scenario.simulated import SIMULATED
from testbed.scenario.sweep import Values

_NO_EVENTS = ("changes.*.jsonl", "handovers.jsonl")
"""Files in a run's folder that hold records of links, not events of a node.

testbed.audit.change_records reads them."""


class FailedRun(msgspec.Struct, kw_only=True):
    """A run that could not end. It has no rows."""

    method: str
    repeat: int
    point: Values
    reason: str


class Summary(msgspec.Struct, kw_only=True):
    """summary.json: one row per (sweep point, repetition, method, prompt, device), in that order.

    Points and methods are in the order of the scenario, whatever the order in which they ran.
    """

    version: Literal[4] = 4
    scenario: str
    rows: list[Row]
    failed: list[FailedRun] = []
    """In the same order."""


class _Planned(msgspec.Struct):
    """One point of the sweep in plan.json: the fields that readers of results need."""

    point: Values = {}
    methods: list[str] = []
    warnings: list[str] = []
    backend: str = ""
    """Empty in results that lack it; all of them were emulated."""
    validated: str = ""


class _Run(msgspec.Struct):
    """The fields of a row of summary.json that name its run."""

    method: str
    repeat: int = 0
    point: Values = {}


class _Rows(msgspec.Struct):
    """The runs that have ended, in summary.json of any version."""

    rows: list[_Run]


class _Environment(msgspec.Struct):
    """The commit of the testbed in environment.json; None where git did not say."""

    commit: str | None = None


class _Entry(msgspec.Struct):
    """A method of scenario.yaml, by its name and label."""

    method: str
    label: str = ""


class _ScenarioFile(msgspec.Struct):
    """The fields of scenario.yaml that readers of results need."""

    name: str = ""
    verifier: str = ""
    methods: list[str | _Entry] = []
    energy: Energy | None = None


def _suffix(point: Values | None) -> str:
    """Return the end of the file names of a point; empty without a sweep."""
    if not point:
        return ""
    whole = ", ".join(f"{key} {value}" for key, value in point.items())
    text = re.sub(r"[^A-Za-z0-9.]+", "_", whole)[-60:]
    return f"@{text}-{hashlib.sha256(msgspec.json.encode(point)).hexdigest()[:6]}"


def _lowered(row: Row, verdict: Verdict) -> Row:
    """Return the row, its verdict no better than `verdict`, which is on its whole run."""
    level = worst([row.verdict, verdict.level])
    return msgspec.structs.replace(row, verdict=level, reasons=row.reasons + verdict.reasons)


def _has_events(name: str) -> bool:
    """Return True for the name of a file of a node's events in a run's folder."""
    return name.endswith(".jsonl") and not any(fnmatch(name, each) for each in _NO_EVENTS)


class Results:
    """Paths and files of one results directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, name: str) -> Results:
        """Make a new directory `<utc>-<name>-<id>` in `parent`.

        Raises TestbedError when it cannot be made.
        """
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = parent / f"{stamp}-{name}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise TestbedError(f"--out {parent}: cannot write there: {error.strerror}") from None
        return cls(path)

    def run(self, label: str, repetition: int, point: Values | None = None) -> Path:
        """Make the folder of one run at a point of the sweep, unless it exists; return it.

        The results directory itself is never made: once somebody removed it, its runs are void.
        """
        path = self.run_path(label, repetition, point)
        for folder in (path.parent, path):
            folder.mkdir(exist_ok=True)
        return path

    def run_path(self, label: str, repetition: int, point: Values | None = None) -> Path:
        """Return the path of the folder of one run, which need not exist."""
        return self.path / "runs" / f"{label}-{repetition}{_suffix(point)}"

    def events(self) -> dict[str, dict[str, list[Event]]]:
        """Read the events of all runs that have ended, by run and node."""
        found: dict[str, dict[str, list[Event]]] = {}
        left_out, ended = self._unfinished(), self._ended_folders()
        for path in sorted(self.path.glob("runs/*/*.jsonl")):
            if path.parent in left_out or not _has_events(path.name):
                continue
            # Without a journal, a run without rows may have been killed while it wrote.
            if events := read_events(path, growing=path.parent not in ended):
                found.setdefault(path.parent.name, {})[path.stem] = events
        return found

    def missing_events(self) -> list[Path]:
        """Return the files of events that the journal lists and that no longer exist."""
        if not (self.path / JOURNAL).exists():
            return []  # nothing lists the files
        left = (
            self.run_path(run.turn.method, run.turn.repeat, run.point) / name
            for run in self.ended()
            for name in run.files
            if _has_events(name)
        )
        return [path for path in left if not path.exists()]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the directory against other runs as long as the context lasts.

        Raises TestbedError when another process has locked it. testbed.files.lock says how the lock
        ends with the process.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.path, wait=False))
            except HeldError as error:
                raise TestbedError(f"{self.path}: a run is still going on there{error}") from None
            yield

    @property
    def removed(self) -> bool:
        """True once the directory, or the journal in it, is gone."""
        return not (self.path / JOURNAL).exists()

    def require_kept(self) -> None:
        """Raise TestbedError when the directory was removed during a run."""
        if self.removed:
            raise TestbedError(
                f"{self.path}: it was removed during the run, with what had been measured; run the "
                "scenario anew"
            )

    def remove_unfinished(self) -> None:
        """Remove the folders of runs that have not ended, and the summary made without them."""
        for path in self._unfinished():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.path / "summary.json").unlink(missing_ok=True)

    def _unfinished(self) -> set[Path]:
        """Return the folders of runs that have not ended; none without a journal."""
        if not (self.path / JOURNAL).exists():
            return set()
        return set(self.path.glob("runs/*")) - self._ended_folders()

    def _ended_folders(self) -> set[Path]:
        """Return the folders of runs that have ended; without a journal, of those with rows."""
        if not (self.path / JOURNAL).exists():
            rows = stored_json.read(self.path / "summary.json", _Rows).rows
            return {self.run_path(row.method, row.repeat, row.point) for row in rows}
        return {self.run_path(run.turn.method, run.turn.repeat, run.point) for run in self.ended()}

    def ended(self) -> list[RunEnded]:
        """Return the runs that have ended and were not discarded, in the order of the scenario."""
        return [run for run in self.outcomes() if isinstance(run, RunEnded)]

    def judged(self) -> list[tuple[RunEnded, Verdict]]:
        """Return each run that has ended, with the worst of its own and its network's verdict.

        The verdicts of its rows are not in it.
        """
        networks = {
            record.network: record.verdict
            for record in read(self.path)
            if isinstance(record, NetworkUp)
        }
        found = []
        for run in self.ended():
            verdict = Verdict(run.verdict.level, list(run.verdict.reasons))
            if run.network in networks:
                verdict.include(networks[run.network], "")
            else:
                verdict.add("invalid", network_missing(run.network))
            found.append((run, verdict))
        return found

    def failed(self) -> list[RunFailed]:
        """Return the runs whose last attempt failed, in the order of the scenario."""
        return [run for run in self.outcomes() if isinstance(run, RunFailed)]

    def outcomes(self) -> list[RunEnded | RunFailed]:
        """Return the last outcome of each run, in the order of the scenario.

        Discarded runs are left out. Raises TestbedError when plan.json lacks a run of the journal.
        """
        return last_outcomes(self.path, [(plan.point, plan.methods) for plan in self._plans()])

    def discarded(self) -> int:
        """Count the runs that were repeated because they were not valid."""
        if not (self.path / JOURNAL).exists():
            return 0  # results of an older testbed
        return sum(isinstance(record, Discarded) for record in read(self.path))

    def retried(self) -> int:
        """Count the repetitions of runs that had failed."""
        if not (self.path / JOURNAL).exists():
            return 0  # results of an older testbed
        return sum(isinstance(record, RunFailed) for record in read(self.path)) - len(self.failed())

    def packet_logs(self) -> list[Path]:
        """Return the relay's packet logs of all runs."""
        return sorted(self.path.glob("runs/*/packets.*.jsonl.gz"))

    def log(self, name: str, point: Values | None = None) -> Path:
        """Make a new empty file for a node's stderr at a point of the sweep; return its path."""
        folder = self.path / "logs"
        folder.mkdir(exist_ok=True)
        for number in chain([""], (f".{n}" for n in count(2))):
            with suppress(FileExistsError):
                path = folder / f"{name}{_suffix(point)}{number}.log"
                path.touch(exist_ok=False)
                break
        return path

    def write_scenario(self, scenario: dict[str, Any]) -> None:
        """Write scenario.yaml, as resolved, with copies of the files that it names."""
        write_scenario(self.path, scenario)

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file as a whole: readers see the old content or the new."""
        write_whole(self.path / name, msgspec.json.format(msgspec.json.encode(content), indent=2))

    def scenario(self) -> dict[str, Any]:
        """Read scenario.yaml as a mapping. Raises TestbedError when it is missing or damaged.

        That of an older testbed gets INHERITED_TCP.
        """
        path = self.path / "scenario.yaml"
        scenario: dict[str, Any] = parse_yaml(
            read_text(path, str(path), most=sys.maxsize), str(path)
        )
        convert(scenario, _ScenarioFile, f"{path}: ")
        scenario.setdefault("tcp", dict(old_keys.INHERITED_TCP))
        return scenario

    def inputs(self) -> list[Path]:
        """Return the files that say what to run: scenario.yaml, plan.json, and those they name."""
        names = ("scenario.yaml", "plan.json")
        return [*(self.path / name for name in names), *sorted(self.path.glob("inputs/*"))]

    def summary(self) -> Summary:
        """Read summary.json; make it from the journal as long as it is not written.

        Raises TestbedError, naming the commit that wrote it, when it is not of this version, and
        when its rows do not have the backend of plan.json.
        """
        path = self.path / "summary.json"
        if (self.path / JOURNAL).exists() and not path.exists():
            return self.summary_so_far()
        try:
            summary = old_keys.read(path, Summary)
        except TestbedError as error:
            raise TestbedError(f"{error}{self._writer()}") from None
        self.require_one_backend(summary.rows, path)
        return summary

    def summary_so_far(self) -> Summary:
        """Return the rows of the runs that have ended, and the failed runs, from the journal.

        The verdict of a row is no better than that of its run and of the run's network.
        """
        rows = [_lowered(row, verdict) for run, verdict in self.judged() for row in run.rows]
        self.require_one_backend(rows, self.path / JOURNAL)
        failed = [
            FailedRun(
                method=run.turn.method, repeat=run.turn.repeat, point=run.point, reason=run.reason
            )
            for run in self.failed()
        ]
        return Summary(scenario=self.scenario().get("name", ""), rows=rows, failed=failed)

    def verdict(self) -> Verdict:
        """Read verdict.json. Raises TestbedError when it is missing or damaged."""
        return old_keys.read(self.path / "verdict.json", Verdict)

    def warnings(self) -> list[str]:
        """Return the warnings of plan.json, of every point of the sweep, and of verdict.json."""
        plans = self._plans() if (self.path / "plan.json").exists() else []
        found = [warning for plan in plans for warning in plan.warnings]
        if (self.path / "verdict.json").exists():
            found += self.verdict().warnings
        return list(dict.fromkeys(found))

    def planned(self) -> list[tuple[Values, list[str]]]:
        """Return each point of plan.json and the labels of its methods, in the scenario's order.

        The list is empty in results without plan.json.
        """
        if not (self.path / "plan.json").exists():
            return []
        return [(plan.point, plan.methods) for plan in self._plans()]

    def backend(self) -> str:
        """Return the backend of all runs; of results without plan.json, that of their rows.

        Raises TestbedError when there are several.
        """
        if planned := self._planned_backend():
            return planned
        kept = any((self.path / name).exists() for name in ("summary.json", JOURNAL))
        rows = self.summary().rows if kept else []  # a calibration has none
        return next((row.backend for row in rows), EMULATED)

    def validated(self) -> str:
        """Return the range in which simulation was validated, by plan.json; empty if unknown."""
        if not (self.path / "plan.json").exists():
            return ""
        return next((plan.validated for plan in self._plans()), "")

    def require_one_backend(self, rows: Iterable[Row], where: Path) -> None:
        """Raise TestbedError unless all rows have the backend of plan.json, or else of each other.

        Rows of older testbeds do not name theirs; it may be any but `simulated`.
        """
        planned = self._planned_backend()
        for row in rows:
            wanted = planned or row.backend
            old = row.backend == EMULATED and wanted != SIMULATED
            if row.backend != wanted and not old:
                raise TestbedError(
                    f"{where}: a generation of {row.method} has the backend {row.backend}, and "
                    f"the results have {wanted}; restore the file, or run the scenario anew"
                )
            planned = planned or row.backend

    def _planned_backend(self) -> str:
        """Return the backend of plan.json; empty where there is none. Raise if it has several."""
        path = self.path / "plan.json"
        backends = {plan.backend for plan in self._plans()} if path.exists() else set()
        if len(backends) > 1:
            raise TestbedError(
                f"{path}: its points have the backends {', '.join(sorted(backends))}, and results "
                "have one; restore the file, or run the scenario anew"
            )
        return next(iter(backends), "")

    def _writer(self) -> str:
        """Return the end of a sentence with the commit that wrote the results; empty if unknown."""
        try:
            commit = stored_json.read(self.path / "environment.json", _Environment).commit
        except TestbedError:
            return ""
        return f"; the testbed that wrote it, commit {commit}, reads it" if commit else ""

    def _plans(self) -> list[_Planned]:
        return stored_json.read(self.path / "plan.json", list[_Planned])
