"""The results directory: one per call of `testbed run`, self-describing, never overwritten."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from fnmatch import fnmatch
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed.config.convert import convert
from testbed.config.yaml_loader import dump_yaml, parse_yaml
from testbed.errors import TestbedError
from testbed.events import Event, read_events
from testbed.files import stored_json
from testbed.files.input_file import read_text
from testbed.files.whole_file import write_whole
from testbed.links.files import place_files
from testbed.models.compute.profiles import place_profiles
from testbed.results import old_keys
from testbed.results.journal import JOURNAL, Discarded, NetworkUp, RunEnded, RunFailed, read
from testbed.results.rows import Row
from testbed.results.verdict import Verdict, worst
from testbed.scenario.schema import Energy
from testbed.scenario.sweep import Values, point_text

_PLACERS: dict[str, Callable[[Any, Callable[[str], str]], Any]] = {
    "links": place_files,
    "compute": place_profiles,
}
"""What replaces the paths of files in each section of a scenario that has some."""

_NO_EVENTS = ("changes.*.jsonl", "handovers.jsonl")
"""Files beside those of the nodes, about links; see testbed.audit.change_records."""


class FailedRun(msgspec.Struct, kw_only=True):
    """A run that could not end, and has no rows."""

    method: str
    repeat: int
    point: Values
    reason: str


class Summary(msgspec.Struct, kw_only=True):
    """summary.json: one row per (sweep point, repetition, method, prompt, device), in that order.

    Points and methods are in the order of the scenario, not in that in which they ran.
    """

    version: Literal[3] = 3
    scenario: str
    rows: list[Row]
    failed: list[FailedRun] = []
    """In the same order."""


class _Planned(msgspec.Struct):
    """What plan.json has for one point of the sweep, as far as readers need it."""

    point: Values = {}
    methods: list[str] = []
    warnings: list[str] = []


class _Run(msgspec.Struct):
    """What a row of summary.json tells of its run."""

    method: str
    repeat: int = 0
    point: Values = {}


class _Rows(msgspec.Struct):
    """summary.json of any version, as far as it says which runs have ended."""

    rows: list[_Run]


class _Environment(msgspec.Struct):
    """What environment.json tells of the testbed."""

    commit: str | None = None


class _Entry(msgspec.Struct):
    """A method of scenario.yaml."""

    method: str
    label: str = ""


class _Asked(msgspec.Struct):
    """scenario.yaml, as far as readers need it."""

    name: str = ""
    verifier: str = ""
    methods: list[str | _Entry] = []
    energy: Energy | None = None


def _suffix(point: Values | None) -> str:
    """What tells the files of one point from those of another."""
    if not point:
        return ""
    whole = ", ".join(f"{key} {value}" for key, value in point.items())
    text = re.sub(r"[^A-Za-z0-9.]+", "_", whole)[-60:]
    return f"@{text}-{hashlib.sha256(msgspec.json.encode(point)).hexdigest()[:6]}"


def _lowered(row: Row, verdict: Verdict) -> Row:
    """Return the row with a verdict taken in that is not on it alone."""
    level = worst([row.verdict, verdict.level])
    return msgspec.structs.replace(row, verdict=level, reasons=row.reasons + verdict.reasons)


def _has_events(name: str) -> bool:
    """Return True for a file in a run's directory that a node wrote its events into."""
    return name.endswith(".jsonl") and not any(fnmatch(name, each) for each in _NO_EVENTS)


class Results:
    """Paths and files of one results directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, name: str) -> Results:
        """Make a new directory `<utc>-<name>-<id>` in `parent`."""
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = parent / f"{stamp}-{name}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise TestbedError(f"--out {parent}: cannot write there: {error.strerror}") from None
        return cls(path)

    def run(self, label: str, repetition: int, point: Values | None = None) -> Path:
        """The directory of one run, at a point of the sweep, made if need be.

        The results directory itself is not: when it is gone, so is what its runs belong to.
        """
        path = self.run_path(label, repetition, point)
        for folder in (path.parent, path):
            folder.mkdir(exist_ok=True)
        return path

    def run_path(self, label: str, repetition: int, point: Values | None = None) -> Path:
        """Where the directory of one run is, if there is one."""
        return self.path / "runs" / f"{label}-{repetition}{_suffix(point)}"

    def events(self) -> dict[str, dict[str, list[Event]]]:
        """The events of all nodes, by run and node, of runs that have ended."""
        found: dict[str, dict[str, list[Event]]] = {}
        left_out, ended = self._unfinished(), self._ended_folders()
        for path in sorted(self.path.glob("runs/*/*.jsonl")):
            if path.parent in left_out or not _has_events(path.name):
                continue
            # Without a journal, nobody says whether a run that has no rows was killed.
            if events := read_events(path, growing=path.parent not in ended):
                found.setdefault(path.parent.name, {})[path.stem] = events
        return found

    def missing_events(self) -> list[Path]:
        """Files of events that runs had left when they ended, and that are not there any more."""
        if not (self.path / JOURNAL).exists():
            return []  # nobody says what there was
        left = (
            self.run_path(run.turn.method, run.turn.repeat, run.point) / name
            for run in self.ended()
            for name in run.files
            if _has_events(name)
        )
        return [path for path in left if not path.exists()]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else runs anything into the directory meanwhile.

        Raises TestbedError when somebody does. However a holder ends, it holds no more then.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TestbedError(f"{self.path}: a run is still going on there") from None
            try:
                yield
            finally:  # to close it is not enough where a process was forked, as for templates
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    @property
    def removed(self) -> bool:
        """True once the directory, or the journal in it, is gone."""
        return not (self.path / JOURNAL).exists()

    def require_kept(self) -> None:
        """Raise TestbedError when somebody has removed the directory during a run."""
        if self.removed:
            raise TestbedError(
                f"{self.path}: it was removed during the run, with what had been measured; run the "
                "scenario anew"
            )

    def remove_unfinished(self) -> None:
        """Remove what runs that have not ended left behind, and what was concluded without them."""
        for path in self._unfinished():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.path / "summary.json").unlink(missing_ok=True)

    def _unfinished(self) -> set[Path]:
        """The directories of runs that have not ended; none where there is no journal."""
        if not (self.path / JOURNAL).exists():
            return set()
        return set(self.path.glob("runs/*")) - self._ended_folders()

    def _ended_folders(self) -> set[Path]:
        """The directories of runs that have ended; without a journal, of those that have rows."""
        if not (self.path / JOURNAL).exists():
            rows = stored_json.read(self.path / "summary.json", _Rows).rows
            return {self.run_path(row.method, row.repeat, row.point) for row in rows}
        return {self.run_path(run.turn.method, run.turn.repeat, run.point) for run in self.ended()}

    def ended(self) -> list[RunEnded]:
        """The runs that have ended and count, by the journal, in the order of the scenario."""
        return [run for run in self.outcomes() if isinstance(run, RunEnded)]

    def judged(self) -> list[tuple[RunEnded, Verdict]]:
        """The runs that have ended, each with the verdict on it and its network, its rows apart."""
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
                verdict.add("invalid", f"{JOURNAL} has no line of the network {run.network}")
            found.append((run, verdict))
        return found

    def failed(self) -> list[RunFailed]:
        """The runs that could not end the last time, in the order of the scenario."""
        return [run for run in self.outcomes() if isinstance(run, RunFailed)]

    def outcomes(self) -> list[RunEnded | RunFailed]:
        """The last outcome of each run not discarded since, in the order of the scenario."""
        plans = self._plans()
        places = {
            (msgspec.json.encode(plan.point, order="sorted"), method): (point, number)
            for point, plan in enumerate(plans)
            for number, method in enumerate(plan.methods)
        }

        def place(run: RunEnded | RunFailed | Discarded) -> tuple[int, int, int]:
            key = msgspec.json.encode(run.point, order="sorted"), run.turn.method
            if key not in places:
                raise TestbedError(
                    f"{self.path / JOURNAL}: it has a run of {run.turn.method} at "
                    f"{point_text(run.point) or 'the only point'}, which plan.json does not have"
                )
            point, method = places[key]
            return point, run.turn.repeat, method

        runs: dict[tuple[int, int, int], RunEnded | RunFailed] = {}
        for record in read(self.path):
            if isinstance(record, RunEnded | RunFailed):
                runs[place(record)] = record
            elif isinstance(record, Discarded):
                runs.pop(place(record), None)
        return [runs[key] for key in sorted(runs)]

    def discarded(self) -> int:
        """How many runs were done once more because they had not been valid."""
        if not (self.path / JOURNAL).exists():
            return 0  # results of an older testbed
        return sum(isinstance(record, Discarded) for record in read(self.path))

    def retried(self) -> int:
        """Count the times that a run was done once more because it had failed."""
        if not (self.path / JOURNAL).exists():
            return 0  # results of an older testbed
        return sum(isinstance(record, RunFailed) for record in read(self.path)) - len(self.failed())

    def packet_logs(self) -> list[Path]:
        """The relay's logs of all runs."""
        return sorted(self.path.glob("runs/*/packets.*.jsonl.gz"))

    def log(self, name: str, point: Values | None = None) -> Path:
        """A new file for a node's stderr, at a point of the sweep."""
        folder = self.path / "logs"
        folder.mkdir(exist_ok=True)
        for number in chain([""], (f".{n}" for n in count(2))):
            with suppress(FileExistsError):
                path = folder / f"{name}{_suffix(point)}{number}.log"
                path.touch(exist_ok=False)
                break
        return path

    def write_scenario(self, scenario: dict[str, Any]) -> None:
        """scenario.yaml, as resolved, with copies of the files that it names."""
        scenario = {
            key: _PLACERS[key](value, self._keep) if key in _PLACERS else value
            for key, value in scenario.items()
        }
        if isinstance(scenario.get("sweep"), list):
            scenario["sweep"] = [
                {key: self._keep_at(key, value) for key, value in point.items()}
                for point in scenario["sweep"]
            ]
        write_whole(self.path / "scenario.yaml", dump_yaml(scenario).encode())

    def write_json(self, name: str, content: object) -> None:
        """Any JSON file, replaced as a whole."""
        write_whole(self.path / name, msgspec.json.format(msgspec.json.encode(content), indent=2))

    def scenario(self) -> dict[str, Any]:
        """scenario.yaml as written. Raises TestbedError when it is missing or damaged."""
        path = self.path / "scenario.yaml"
        scenario: dict[str, Any] = parse_yaml(
            read_text(path, str(path), most=sys.maxsize), str(path)
        )
        convert(scenario, _Asked, f"{path}: ")
        return scenario

    def inputs(self) -> list[Path]:
        """The files of what is to be run: scenario.yaml, plan.json and the files they name."""
        names = ("scenario.yaml", "plan.json")
        return [*(self.path / name for name in names), *sorted(self.path.glob("inputs/*"))]

    def summary(self) -> Summary:
        """summary.json, or what there is of it as long as the run has not ended.

        Raises TestbedError, naming the commit that wrote it, when it is not of this version.
        """
        if (self.path / JOURNAL).exists() and not (self.path / "summary.json").exists():
            return self.summary_so_far()
        try:
            return old_keys.read(self.path / "summary.json", Summary)
        except TestbedError as error:
            raise TestbedError(f"{error}{self._writer()}") from None

    def summary_so_far(self) -> Summary:
        """The rows of the runs that have ended, and those that failed, by the journal.

        A row is no more believable than its run and the network that the run was on.
        """
        rows = [_lowered(row, verdict) for run, verdict in self.judged() for row in run.rows]
        failed = [
            FailedRun(
                method=run.turn.method, repeat=run.turn.repeat, point=run.point, reason=run.reason
            )
            for run in self.failed()
        ]
        return Summary(scenario=self.scenario().get("name", ""), rows=rows, failed=failed)

    def verdict(self) -> Verdict:
        """verdict.json."""
        return old_keys.read(self.path / "verdict.json", Verdict)

    def warnings(self) -> list[str]:
        """What plan.json warns of, at any point of the sweep, and what was found out in runs."""
        plans = self._plans() if (self.path / "plan.json").exists() else []
        found = [warning for plan in plans for warning in plan.warnings]
        if (self.path / "verdict.json").exists():
            found += self.verdict().warnings
        return list(dict.fromkeys(found))

    def planned(self) -> list[tuple[Values, list[str]]]:
        """Each point of plan.json with the labels of its methods, in the order of the scenario.

        None in results that have no plan.json any more.
        """
        if not (self.path / "plan.json").exists():
            return []
        return [(plan.point, plan.methods) for plan in self._plans()]

    def _writer(self) -> str:
        """Which testbed wrote the results, as the end of a sentence; empty if nobody tells."""
        try:
            commit = stored_json.read(self.path / "environment.json", _Environment).commit
        except TestbedError:
            return ""
        return f"; the testbed that wrote it, commit {commit}, reads it" if commit else ""

    def _plans(self) -> list[_Planned]:
        return stored_json.read(self.path / "plan.json", list[_Planned])

    def _keep_at(self, path: str, value: Any) -> Any:
        """What a sweep puts at KEY.KEY, with copies of the files that it names."""
        section, *keys = path.split(".")
        if section not in _PLACERS:
            return value
        for key in reversed(keys):
            value = {key: value}
        value = _PLACERS[section](value, self._keep)
        for key in keys:
            value = value[key]
        return value

    def _keep(self, path: str) -> str:
        """Copy a file into `inputs`; its place in the results directory."""
        folder = self.path / "inputs"
        folder.mkdir(exist_ok=True)
        content = Path(path).read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:8]  # files of one name may differ
        copy = folder / f"{digest}-{Path(path).name}"
        write_whole(copy, content)
        return str(copy.relative_to(self.path))
