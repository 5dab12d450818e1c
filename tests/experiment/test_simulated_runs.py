"""Simulated runs: ordinary processes, the same files, and none of what only Linux has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from testbed.errors import TestbedError
from testbed.exit_codes import UNREPORTED
from testbed.experiment import launcher, plain_workers, runner, simulated_bench
from testbed.experiment.jobs import Job, take
from testbed.pcap.capture_index import read_captures
from testbed.results.directory import Results
from testbed.results.opening import open_results
from testbed.results.verdict import Verdict
from testbed.scenario.load import check_scenario
from tests.support.blocked import run_blocked
from tests.support.fake_simulation import DOWN, PACKET, PASS, ROUND, UP, FakeSimulation
from tests.support.whole_run import SYNTHETIC

PACE = {"per_pass": "5ms", "per_token": "1ms"}


def simulated(**changes):
    """Return the synthetic scenario, simulated."""
    paced = {"compute": {"draft": PACE, "target": PACE}, "methods": ["cloud_ar", "dsd"]}
    raw = {**SYNTHETIC, "backend": "simulated", "capture": False, **paced, **changes}
    return check_scenario(raw, "test")


@pytest.fixture
def fake(monkeypatch):
    """Let simulations be fakes, and workers run in this process."""

    def in_this_process(_self, results, jobs, pieces):
        return [runner.work(Results(results.path), job, take(pieces.fileno(), job.parts))
                for job in jobs]  # fmt: skip

    monkeypatch.setattr(simulated_bench, "open_simulation", FakeSimulation)
    monkeypatch.setattr(plain_workers, "record_costs", lambda *_: None)
    monkeypatch.setattr(plain_workers.PlainWorkers, "run", in_this_process)
    monkeypatch.setattr(FakeSimulation, "broken", frozenset())
    monkeypatch.setattr(FakeSimulation, "missed", 0)
    return FakeSimulation


def test_a_simulated_run_leaves_what_an_emulated_one_leaves(tmp_path, fake, capsys):
    results, code = launcher.launch(simulated(), tmp_path)
    assert code == 0
    assert open_results(results.path).verdict() == Verdict()
    prompts = len(SYNTHETIC["prompts"])
    rows = results.summary().rows
    assert [(row.method, row.prompt) for row in rows] == [
        (method, prompt) for method in ("cloud_ar", "dsd") for prompt in range(prompts)
    ]
    row = rows[0]
    assert (row.tokens, row.seconds, row.ttft_s) == (4, 2 * ROUND, ROUND)
    assert row.events.verify_s == pytest.approx(2 * PASS)
    assert row.links["radio"].up_bytes == row.uplink_wire_bytes == UP * PACKET
    assert row.downlink_wire_bytes == DOWN * PACKET
    assert len(row.round_s) == 2
    assert row.phases["verify"] == pytest.approx(2 * PASS)
    folder = results.run_path("dsd", 0)
    assert {path.name for path in folder.iterdir()} == {
        "base_station.jsonl", "device.jsonl", "rounds.json", "text.txt"
    }  # fmt: skip
    assert "--- prompt 1\n" in (folder / "text.txt").read_text()
    events = results.events()["dsd-0"]
    assert {event["stream"] for event in events["device"]} == {
        f"device/{prompt}" for prompt in range(prompts)
    }
    told = capsys.readouterr().out
    assert "simulated, results in" in told
    assert told.index("recording how long") < told.index("prompt 1")


def test_a_simulated_run_has_no_packets_to_show(tmp_path, fake):
    results, _ = launcher.launch(simulated(methods=["dsd"]), tmp_path)
    folder = results.run_path("dsd", 0)
    with pytest.raises(TestbedError, match=f"^{folder}: it has no captures.json: it is not"):
        read_captures(folder)


def test_several_devices_of_a_cell_are_simulated_together(tmp_path, fake):
    links = {"radio": {"up": {"rate": "10mbit"}, "down": {"rate": "10mbit"}}}
    wanted = simulated(topology="cell", devices=3, links=links, methods=["dsd"])
    results, code = launcher.launch(wanted, tmp_path)
    assert code == 0
    rows = results.summary().rows
    assert {row.device for row in rows} == {"device1", "device2", "device3"}
    assert {row.links["radio"].up_packets for row in rows} == {3 * UP}
    assert {row.uplink_wire_bytes for row in rows} == {UP * PACKET}
    assert (results.run_path("dsd", 0) / "text.device2.txt").exists()


def test_packets_that_appear_on_a_simulated_link_make_its_generations_invalid(
    tmp_path, fake, monkeypatch
):
    monkeypatch.setattr(FakeSimulation, "missed", 1)
    results, code = launcher.launch(simulated(methods=["dsd"]), tmp_path)
    assert code == 3
    assert "link radio up: 2 packets sent, 3 reached the wire" in results.verdict().reasons[0]


def test_a_simulated_run_that_fails_is_done_again_when_resumed(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(FakeSimulation, "broken", frozenset({"dsd"}))
    results, code = launcher.launch(simulated(), tmp_path)
    assert code == 1
    assert results.verdict().reasons[0] == "dsd failed: no answer to dsd"
    monkeypatch.setattr(FakeSimulation, "broken", frozenset())
    _, code = launcher.resume(results.path)
    assert code == 0
    assert {row.method for row in results.summary().rows} == {"cloud_ar", "dsd"}


IMPORTS = """
import importlib, pkgutil, sys
import plots, testbed.analysis, testbed.commands, testbed.report, testbed.results

for package in (plots, testbed.analysis, testbed.commands, testbed.report, testbed.results):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
from testbed.audit.base import checks
from testbed.experiment import launcher, plain_worker, plain_workers, runner, simulated_bench
from testbed.scenario import load

assert checks()
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"fcntl", "pwd", "resource", "mininet", "torch", "zmq"}))
"""


def test_what_simulated_runs_need_is_imported_without_what_only_linux_has():
    assert run_blocked(IMPORTS) == "\n"


WHOLE = """
import sys
from pathlib import Path

from tests.support.blocked import forget_linux

forget_linux()
from testbed.cli import main
from testbed.experiment import plain_workers

plain_workers.PROGRAM = ["-m", "tests.support.simulated_worker"]
sys.argv = ["testbed", *ARGUMENTS]
main()
"""


@pytest.mark.slow
def test_a_scenario_is_simulated_where_there_is_no_linux(tmp_path):
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(json.dumps({
        **SYNTHETIC, "compute": {"draft": PACE, "target": PACE}, "methods": ["cloud_ar", "dsd"],
        "sweep": {"seed": [1, 2, 3]},
    }))  # fmt: skip
    arguments = ["run", str(scenario), "--backend", "simulated", "--out", str(tmp_path / "out"),
                 "--jobs", "2" if (os.cpu_count() or 1) > 1 else "1"]  # fmt: skip
    run_blocked(WHOLE.replace("ARGUMENTS", repr(arguments)))
    (path,) = (tmp_path / "out").iterdir()
    results = open_results(path)
    assert results.verdict() == Verdict()
    assert len(results.summary().rows) == 3 * 2 * len(SYNTHETIC["prompts"])
    assert not list(path.glob(".*lock"))  # nobody holds it any more
    found = run_blocked(WHOLE.replace("ARGUMENTS", repr(["run", "--resume", str(path)])))
    assert "nothing is left to do, 6 of 6 runs have ended" in found


def held_by_file(path) -> str:
    return f"""
from pathlib import Path
from testbed.results.directory import Results

with Results(Path({str(path)!r})).held():
    try:
        with Results(Path({str(path)!r})).held():
            print("twice")
    except Exception as error:
        print(error)
"""


def test_results_are_held_by_one_run_without_flock_too(tmp_path):
    said = run_blocked(held_by_file(tmp_path))
    lock = tmp_path / ".lock"
    assert said == f"{tmp_path}: a run is still going on there; remove {lock} if it was killed\n"
    assert not lock.exists()
    lock.touch()
    with pytest.raises(AssertionError, match="a run is still going on there; remove"):
        run_blocked(held_by_file(tmp_path))


@pytest.mark.slow
def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    job = msgspec.json.encode(Job(session=0, jobs=1, parts=1, processors=[])).decode()
    program = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", '''
import sys, time
from testbed.experiment import plain_worker
plain_worker._work = lambda: time.sleep(60)
plain_worker.main()
''', str(os.getpid()), "x", {job!r}])
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("it goes on")


def test_a_worker_that_cannot_read_its_results_says_so_once(tmp_path):
    job = msgspec.json.encode(Job(session=0, jobs=1, parts=1, processors=[])).decode()
    done = subprocess.run(
        [sys.executable, *plain_workers.PROGRAM, str(os.getpid()), str(tmp_path), job],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == UNREPORTED
    assert "Traceback" not in done.stderr


def test_what_cannot_be_simulated_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TestbedError, match="compute: the target model has no pace"):
        launcher.launch(simulated(compute={"draft": PACE}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
