"""Summary, verdict and environment of a results directory, made from its journal at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from testbed.errors import TestbedError
from testbed.exit_codes import ERROR, NOT_VALID, VALID
from testbed.files.checksums import checksums
from testbed.host.machine_errors import NO_SPACE
from testbed.results.directory import FailedRun, Results
from testbed.results.journal import (
    JOURNAL,
    Began,
    Concluded,
    NetworkDown,
    NetworkUp,
    RunEnded,
    Stopped,
    append,
    network_missing,
    read,
)
from testbed.results.rows import Row
from testbed.results.verdict import Level, Verdict
from testbed.scenario.sweep import Values, point_text

T = TypeVar("T")


def conclude(results: Results, session: int, runs: int) -> int:
    """Write summary, verdict and environment from the journal; return the exit code.

    `runs` is the number of runs in the scenario. The verdict ignores what stopped an earlier
    session; a failed run makes it invalid until that run has ended.
    """
    return with_room(results, lambda: _conclude(results, session, runs))


def with_room(results: Results, write: Callable[[], T]) -> T:
    """Return the result of `write`; on a full disk remove unfinished runs and call it again."""
    try:
        return write()
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
    results.remove_unfinished()
    return write()


def _conclude(results: Results, session: int, runs: int) -> int:
    records = list(read(results.path))
    ended = results.ended()
    verdict = Verdict()
    for record in records:
        if isinstance(record, Stopped) and record.session == session:
            verdict.add("invalid", f"{_where(record.point)}{record.reason}")
    summary = results.summary_so_far()
    for run in summary.failed:
        verdict.add("invalid", failure(run))
    if len(ended) < runs:
        verdict.add("invalid", f"{runs - len(ended)} of {runs} runs have not ended")
    _judge(verdict, ended, [record for record in records if isinstance(record, NetworkUp)])
    concluded = {
        "environment.json": _environment(records, results.path / JOURNAL),
        "summary.json": summary,
        "verdict.json": verdict,
    }
    for name, content in concluded.items():
        results.write_json(name, content)
    files = checksums(results.path, (results.path / name for name in concluded))
    append(results.path, Concluded(files=files))
    if len(ended) < runs:
        return ERROR
    return VALID if verdict.level == "valid" else NOT_VALID


def failure(run: FailedRun) -> str:
    """Return the method, point and reason of a run that failed, as the verdict has them."""
    repeat = f" repeat {run.repeat + 1}" if run.repeat else ""
    return f"{_where(run.point)}{run.method}{repeat} failed: {run.reason}"


def _judge(verdict: Verdict, ended: list[RunEnded], networks: list[NetworkUp]) -> None:
    """Add to the verdict those of the runs that ended, of their networks and their generations."""
    used = {run.network for run in ended}
    for name in sorted(used - {network.network for network in networks}):
        verdict.add("invalid", network_missing(name))
    for network in networks:
        if network.network in used:
            verdict.include(network.verdict, _where(network.point))
    for run in ended:
        verdict.include(run.verdict, _where(run.point))
    verdict.warnings += _unmet(ended)
    for level, reason in text_reasons([row for run in ended for row in run.rows]):
        verdict.add(level, reason)


def _unmet(ended: list[RunEnded]) -> Iterator[str]:
    """Yield a warning for each thing that links were asked to do and that runs were too short for.

    Each names the runs' seconds, and comes once.
    """
    seconds: dict[str, list[float]] = {}
    for run in ended:
        for what in run.unmet:
            seconds.setdefault(what, []).append(run.seconds)
    for what, took in seconds.items():
        shortest, longest = f"{min(took):.1f}", f"{max(took):.1f}"
        span = longest if shortest == longest else f"{shortest} to {longest}"
        of_all = f" in {len(took)} of {len(ended)} runs, which took"
        yield f"{what}{of_all if len(ended) > 1 else ': the run took'} {span} s"


def text_reasons(rows: list[Row]) -> Iterator[tuple[Level, str]]:
    """Yield level and reason of all rows; a reason shared by concurrent generations comes once."""
    told = set()
    for row in rows:
        for reason in row.reasons:
            where = f" at {point_text(row.point)}" if row.point else ""
            text = f"{row.method} prompt {row.prompt + 1}{where}: {reason}"
            if (row.repeat, text) not in told:
                told.add((row.repeat, text))
                yield row.verdict, text


def _where(point: Values) -> str:
    return f"{point_text(point)}: " if point else ""


def _environment(records: list[Any], path: Path) -> dict[str, Any]:
    """Return environment.json: the first session's, with those of later ones in `resumed`.

    `path` is the journal's, for errors. Raises TestbedError when the journal has the end of a
    network but not its start.
    """
    first: dict[int, dict[str, Any]] = {}
    networks: dict[str, dict[str, Any]] = {}
    for record in records:
        if isinstance(record, Began):
            began = {"began": record.t, "jobs": record.jobs}
            first.setdefault(record.session, {**began, **record.environment})
        elif isinstance(record, NetworkUp):
            networks[record.network] = {
                "session": record.session,
                "point": record.point,
                "processors": record.processors,
                "before": record.state,
            }
        elif isinstance(record, NetworkDown):
            if record.network not in networks:
                raise TestbedError(
                    f"{path}: it tells of the end of network {record.network}, and not that it "
                    "began; restore the file, or run the scenario anew"
                )
            networks[record.network]["after"] = record.state
    sessions = [first[session] for session in sorted(first)]
    environment = sessions.pop(0) if sessions else {}
    if sessions:
        environment["resumed"] = sessions
    return {**environment, "networks": list(networks.values())}
