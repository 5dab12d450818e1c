"""`--jobs`: runs side by side, which share nothing and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest

from testbed.calibration import preflight
from testbed.emulation.sandbox import run_in_sandboxes
from testbed.errors import TestbedError
from testbed.experiment import deployment, job_trial, jobs, launcher
from testbed.experiment.jobs import Piece, pack, require_processors, shares, take
from testbed.experiment.launcher import resume
from testbed.experiment.preparation import prepare
from testbed.experiment.sandboxed_workers import SandboxedWorkers
from testbed.results.directory import Results
from testbed.scenario.load import check_scenario
from testbed.scenario.run_order import RunId, shuffled
from tests.emulation.inside import need_sandbox
from tests.results.test_journal import FAST, SLOW, ended, failed, made
from tests.support.whole_run import SYNTHETIC, processes_of, results, write

TURNS = shuffled(["dsd", "ar"], 3, 1, {})


@pytest.fixture
def eight(monkeypatch):
    """Simulate a machine with eight processors, of which n and n + 4 are of one core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(jobs, "_core", lambda processor: (0, processor % 4, processor))


@pytest.mark.parametrize(("count", "size"), [(1, 8), (2, 4), (3, 2), (8, 1)])
def test_each_job_has_as_many_processors_and_none_is_anothers(eight, count, size):
    each = shares(count)
    assert [len(processors) for processors in each] == [size] * count
    assert len(set(chain.from_iterable(each))) == count * size


def test_processors_of_one_core_are_not_those_of_two_jobs(eight):
    assert shares(4) == [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("count", [0, -1, 9])
def test_more_jobs_than_processors_are_refused(eight, count):
    with pytest.raises(TestbedError, match=f"--jobs: it is {count}; .* it must be 1 to 8$"):
        require_processors(count)


def left(point, found=None, *, part=0, parts=1, failed=False) -> list[RunId]:
    ended, before = (found.ended(), found.failed()) if found else ([], [])
    piece = Piece(0, part, failed)
    return jobs.left(TURNS, point, ended, before, piece=piece, parts=parts)


def test_parts_are_all_runs_once_and_none_that_has_ended(tmp_path):
    results = made(tmp_path)
    parts = list(chain(*(left(SLOW, part=part, parts=4) for part in range(4))))
    assert len(parts) == len(TURNS)
    assert set(parts) == set(TURNS)
    ended(results, "n", SLOW, "dsd", 1)
    assert left(SLOW, results) == [turn for turn in TURNS if turn != RunId("dsd", 1)]
    assert left({}, results) == TURNS


def test_runs_that_failed_are_a_piece_of_their_own(tmp_path):
    results = made(tmp_path)
    failed(results, 0, SLOW, RunId("dsd", 1), "no answer")
    failed(results, 0, SLOW, RunId("dsd", 0), "no answer")
    ended(results, "n", SLOW, "dsd", 0)
    assert left(SLOW, results, failed=True) == [RunId("dsd", 1)]
    assert left(SLOW, results) == [
        turn for turn in TURNS if turn not in (RunId("dsd", 0), RunId("dsd", 1))
    ]
    assert left(FAST, results, failed=True) == []


def test_jobs_take_each_piece_once():
    pieces = [
        Piece(point, part, again)
        for again in (False, True)
        for point in range(300)
        for part in range(3)
    ]
    with tempfile.TemporaryFile() as file:
        file.write(pack(pieces, 3))
        file.seek(0)
        first, second = (take(os.dup(file.fileno()), 3) for _ in range(2))
        taken = [next(first), next(second), next(second), *first]
        assert taken == pieces
        assert list(second) == []


def test_fewer_jobs_run_where_so_many_disturb_the_links(monkeypatch, capsys):
    tried = []

    def late(_results, count):
        tried.append(count)
        return ["link radio up: late"] * (count > 3)

    monkeypatch.setattr(job_trial, "_try", late)
    assert job_trial.jobs_that_fit(None, 6) == 3
    assert tried == [6, 4, 3]
    assert "4 jobs do not fit side by side here: link radio up: late" in capsys.readouterr().out
    assert job_trial.jobs_that_fit(None, 1) == 1
    assert tried == [6, 4, 3]


def test_links_that_were_not_measured_side_by_side_are_not_taken_for_good(tmp_path, monkeypatch):
    monkeypatch.setattr(job_trial, "check_scenario", lambda *_: Mock(every_point=lambda: [Mock()]))
    monkeypatch.setattr(job_trial, "read_plans", lambda _results: [Mock()])
    monkeypatch.setattr(job_trial, "_PATIENCE", 0.05)
    monkeypatch.setattr(job_trial.clock, "set_dilation", lambda _factor: None)
    monkeypatch.setattr(deployment, "network_of", lambda *_: nullcontext())
    monkeypatch.setattr(preflight, "check_links", lambda _network: [])
    for number in (0, 1):
        told = job_trial._measure(MagicMock(), 0, tmp_path / str(number), 2)
        assert len(told) == (number == 0)
        assert all(each.startswith("1 of 2 networks were built within ") for each in told)


def test_what_is_left_of_a_trial_that_is_killed_goes_with_the_next_session(tmp_path, monkeypatch):
    found = made(tmp_path)
    left_over = []

    def killed(_commands):
        left_over.extend((found.path / "runs").iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(job_trial, "read_plans", lambda _results: [None])
    monkeypatch.setattr(job_trial, "run_in_sandboxes", killed)
    with pytest.raises(KeyboardInterrupt):
        job_trial.jobs_that_fit(found, 2)
    (folder,) = left_over
    folder.mkdir()  # as if there had been no time to remove it
    monkeypatch.setattr(Results, "ended", lambda _self: [])
    found.remove_unfinished()
    assert not folder.exists()


def test_a_quota_is_among_the_warnings_of_every_point(monkeypatch):
    monkeypatch.setattr(launcher, "quota_warning", lambda: "little is granted")
    scenario = check_scenario({**SYNTHETIC, "capture": False}, "test")
    (plan,) = launcher._plans(scenario, SandboxedWorkers(), "relay", 1)
    assert plan.warnings == ["little is granted"]


def test_jobs_that_share_the_machine_are_warned_of_unless_models_are_paced():
    def warnings(count, **changes):
        scenario = check_scenario({**SYNTHETIC, "capture": False, **changes}, "test")
        (point,) = scenario.every_point()
        return prepare(point, "relay", count).warnings

    pace = {"per_pass": "5ms", "per_token": "0"}
    assert "2 jobs share the memory of this machine" in "".join(warnings(2))
    assert "2 jobs share" in "".join(warnings(2, compute={"draft": pace}))
    assert warnings(2, compute={"draft": pace, "target": pace}) == warnings(1) == []


@pytest.mark.emulation
def test_a_sandbox_that_dies_does_not_end_the_others():
    need_sandbox()
    killed, other = ["sh", "-c", "kill -9 $PPID; sleep 9"], ["sh", "-c", "sleep 0.5; exit 5"]
    assert run_in_sandboxes([["sh", "-c", "exit 6"], other]) == [6, 5]
    assert run_in_sandboxes([killed, other])[1] == 5


TWO_JOBS = """
import sys
from pathlib import Path
from testbed.experiment.launcher import launch
from testbed.scenario.load import load_scenario
sys.exit(launch(load_scenario(Path(sys.argv[1])), Path(sys.argv[2]), 2)[1])
"""


def start(folder: Path, **changes) -> tuple[subprocess.Popen, Path]:
    """Two jobs, each in the middle of the runs at its point."""
    need_sandbox()
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two jobs need two processors")
    spec = {"rate": "20mbit", "delay": "5ms"}
    scenario = write(
        folder, methods=["dsd", "device_only"], links={"radio": {"up": spec, "down": spec}},
        backend="relay", sweep={"seed": [1, 2]}, **changes,
    )  # fmt: skip
    environment = {**os.environ, "TESTBED_TEST_MARK": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", TWO_JOBS, str(scenario), str(folder / "out")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "do not fit" in line:
            process.kill()
            pytest.skip(f"this machine is too busy: {line}")
        if "starting the network" in line and line.startswith("seed 2"):
            break
    return process, scenario


def wait_for_decoding(scenario: Path) -> None:
    """Wait until something has been decoded at both points."""
    begun = set()
    while len(begun) < 2:
        time.sleep(0.05)
        files = scenario.parent.glob("out/*/runs/*/device.jsonl")
        begun = {file.parent.name.partition("@")[2] for file in files}


LONG = {"temperature": 1.0, "max_new_tokens": 100_000}


@pytest.mark.emulation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_all_jobs_end_together(tmp_path, number):
    process, scenario = start(tmp_path, decoding=LONG)
    wait_for_decoding(scenario)
    process.send_signal(number)
    process.communicate(timeout=60)
    if number == signal.SIGKILL:
        time.sleep(1)
        assert results(scenario).verdict().reasons == ["the run did not end"]
    else:
        assert process.returncode == 1
        reasons = results(scenario).verdict().reasons
        assert sorted(reasons[:2]) == [f"seed {n}: the run was interrupted" for n in (1, 2)]
    assert processes_of(str(tmp_path)) == []


@pytest.mark.emulation
def test_the_rows_of_other_jobs_outlive_one_that_dies_and_the_rest_is_resumed(tmp_path):
    preflight = {"temperature": 1.0, "max_new_tokens": 600}
    process, scenario = start(tmp_path, decoding=preflight)
    wait_for_decoding(scenario)
    victims = [line for line in processes_of("testbed.experiment.runner") if str(tmp_path) in line]
    pids = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and b"unshare" in (entry / "cmdline").read_bytes()[:20]
        and str(tmp_path).encode() in (entry / "cmdline").read_bytes()
    ]
    assert len(victims) == 4  # unshare and runner, twice
    os.kill(max(pids), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: a sandbox ended with signal SIGKILL" in errors
    found = results(scenario)
    assert len({str(run.point) for run in found.ended()}) >= 1
    assert "a sandbox ended with signal SIGKILL" in found.verdict().reasons[0]
    assert resume(found.path)[1] in (0, 3)
    rows = [(row.point["seed"], row.method) for row in found.summary().rows]
    assert rows == [(seed, method) for seed in (1, 2) for method in ("dsd", "device_only")]
    environment = json.loads((found.path / "environment.json").read_bytes())
    networks = {tuple(each["processors"]) for each in environment["networks"]}
    assert len(networks) == 2
