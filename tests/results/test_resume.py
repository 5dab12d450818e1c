"""`testbed run --resume`: finished runs are kept, the rest is run, by the same program only."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time

import msgspec
import pytest

from testbed.audit.checks.packet_logs import judge_packets
from testbed.errors import TestbedError
from testbed.experiment import job_trial, sandboxed_workers
from testbed.experiment import launcher as again
from testbed.experiment.launcher import launch
from testbed.experiment.launcher import resume as launch_again
from testbed.host.environment import describe_environment, processor
from testbed.models.cpu import operators
from testbed.models.cpu.operators import machine
from testbed.models.spec import GgufSpec, HuggingFaceSpec, OperatorChoice
from testbed.results import journal
from testbed.results.directory import Results
from testbed.results.plan import Plan, operator_choices, read_plans
from testbed.results.resume import (
    require_known_tcp,
    require_same_operators,
    require_same_processor,
    sessions,
)
from testbed.results.verdict import Verdict
from testbed.scenario.load import load_scenario
from testbed.scenario.run_order import RunId
from tests.emulation.inside import need_sandbox
from tests.results.test_journal import SLOW, ended, made
from tests.support.whole_run import ROOT, command, long_run, results, write


def began(results: Results, **environment) -> None:
    now = {**describe_environment(), **environment}
    journal.append(results.path, journal.Began(session=3, jobs=1, environment=now))


def test_the_same_testbed_goes_on(tmp_path):
    results = made(tmp_path)
    began(results)
    assert [each.session for each in sessions(results)] == [3]


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ({"commit": "abc"}, "it was begun with commit abc, and this is "),
        ({"python": "3.1"}, "it was begun with Python 3.1, and this is 3."),
        ({"packages": {"testbed": "0.0.9"}}, "it was begun with testbed 0.0.9, and this is 0."),
    ],
)
def test_another_testbed_does_not_go_on(tmp_path, then, message):
    results = made(tmp_path)
    began(results, **then)
    with pytest.raises(TestbedError, match=f"^--resume {results.path}: {message}"):
        sessions(results)


def test_another_machine_is_warned_of(tmp_path, capsys):
    results = made(tmp_path)
    began(results, kernel="2.4")
    sessions(results)
    assert "warning: it was begun with kernel 2.4, and this is " in capsys.readouterr().out


def plan_of(choice: OperatorChoice | None) -> Plan:
    target = HuggingFaceSpec("/m", "large", "bf16", operators=choice)
    draft = HuggingFaceSpec("/n", "small", "int8", operators=choice)
    return Plan(point={}, backend="relay", target=target, draft=draft, prompts=[], end_tokens=[])


def test_a_plan_keeps_what_models_multiply_by_and_goes_with_its_processor(tmp_path, monkeypatch):
    results = made(tmp_path)
    for name in operators._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    choice = OperatorChoice(4, "_linear_pointwise from 4 tokens on", machine(), ((1, 2.0, 1.5),))
    results.write_json("plan.json", [plan_of(choice)])
    plans = read_plans(results)
    assert plans == [plan_of(choice)]
    assert operator_choices(plans) == {"large in bf16": choice, "small in int8": choice}
    require_same_operators(results, plans)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    with pytest.raises(TestbedError) as caught:
        require_same_operators(results, plans)
    assert str(caught.value) == (
        f"--resume {results.path}: large in bf16 was begun with _linear_pointwise from 4 tokens on "
        f"on {choice.machine}, and this is {choice.machine}, ATEN_CPU_CAPABILITY=avx2, which "
        "rounds otherwise; resume it there, or run the scenario anew"
    )


def test_a_gguf_file_stays_on_its_processor(tmp_path):
    results, plan = made(tmp_path), plan_of(None)
    require_same_processor(results, "another", [plan])
    plan.draft = GgufSpec("/m.gguf", "small.gguf")
    require_same_processor(results, processor(), [plan])
    with pytest.raises(
        TestbedError, match=r"'small\.gguf' was begun on another, and this is .* anew$"
    ):
        require_same_processor(results, "another", [plan])


def test_what_inherited_tcp_from_its_machine_is_not_mixed_with_what_did_not(tmp_path):
    results = made(tmp_path)
    require_known_tcp(results)
    results.write_scenario({"name": "made"})
    assert results.scenario()["tcp"] == {"congestion_control": "inherited"}
    with pytest.raises(TestbedError) as caught:
        require_known_tcp(results)
    assert str(caught.value) == (
        f"--resume {results.path}: its scenario.yaml lacks tcp.congestion_control, which hosts "
        "inherited from the machine then; run the scenario anew"
    )


def test_older_results_are_not_resumed(resumable):
    resumable.write_scenario({"name": "made"})
    with pytest.raises(TestbedError, match=r"lacks tcp\.congestion_control"):
        launch_again(resumable.path)


def test_choices_of_one_model_at_several_points_are_told_apart():
    plans = []
    for threads, layers in ((1, ()), (2, ()), (2, (3, 4))):
        plan = plan_of(OperatorChoice(threads, "it", "here"))
        for role in ("target", "draft"):
            spec = getattr(plan, role)
            changed = msgspec.structs.replace(spec, threads=threads, without_layers=layers)
            setattr(plan, role, changed)
        plans.append(plan)
    choices = operator_choices(plans)
    assert list(choices)[::2] == [
        "large in bf16 with threads 1",
        "large in bf16 with threads 2",
        "large in bf16 without layers 3, 4 with threads 2",
    ]
    assert [choice.from_tokens for choice in choices.values()] == [1, 1, 2, 2, 2, 2]


def test_what_nobody_began_cannot_be_resumed(tmp_path):
    results = made(tmp_path)
    with pytest.raises(TestbedError, match=r"nothing had begun there; run the scenario anew$"):
        sessions(results)
    (results.path / journal.JOURNAL).unlink()
    with pytest.raises(TestbedError, match=r"it has no journal.jsonl, which older testbeds did"):
        sessions(results)


def test_what_runs_left_that_did_not_end_is_removed(tmp_path):
    results = made(tmp_path)
    for repeat in (0, 1):
        (results.run("dsd", repeat, SLOW) / "text.txt").write_text("whole" if repeat else "ha")
    ended(results, "n", SLOW, "dsd", 1)
    results.remove_unfinished()
    assert [each.read_text() for each in results.path.glob("runs/*/text.txt")] == ["whole"]


def test_one_run_at_a_time_goes_into_a_directory(tmp_path):
    results = made(tmp_path)
    other = Results(results.path).held()
    with results.held(), pytest.raises(TestbedError, match=r"a run is still going on there$"):
        other.__enter__()
    with pytest.raises(BlockingIOError), results.held():
        raise BlockingIOError("too many processes")  # is not about the directory
    with results.held():
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
    try:
        with results.held():
            pass
    finally:
        child.kill()
        child.join()


@pytest.fixture
def resumable(tmp_path, monkeypatch) -> Results:
    """Return results of one run, begun with four jobs, with all checks replaced."""
    results = made(tmp_path)
    plan = plan_of(None)
    plan.order = [RunId("ar", 0)]
    results.write_json("plan.json", [plan])
    begun = [journal.Began(session=0, jobs=4, environment={})]
    monkeypatch.setattr(sandboxed_workers, "check_sandbox", lambda: None)
    monkeypatch.setattr(again, "sessions", lambda _results: begun)
    return results


def test_a_resumed_run_has_no_more_jobs_than_there_are_processors_now(resumable, monkeypatch):
    monkeypatch.setattr(again, "usable_cores", lambda: 2)
    monkeypatch.setattr(job_trial, "jobs_that_fit", lambda _results, jobs: jobs)
    monkeypatch.setattr(again, "_work", lambda _results, _workers, _plans, _session, jobs: jobs)
    assert launch_again(resumable.path)[1] == 2


def test_no_verdict_outlives_the_runs_it_was_about(resumable, monkeypatch):
    results = resumable
    results.write_json("verdict.json", Verdict("invalid", ["a link was late"]))

    def killed(results, session):
        raise KeyboardInterrupt

    monkeypatch.setattr(again, "discard_doubtful", killed)
    with pytest.raises(KeyboardInterrupt):
        launch_again(results.path, redo=True)
    assert results.verdict() == Verdict("invalid", ["the run did not end"])


def resume(path, *more) -> subprocess.CompletedProcess:
    argv = [sys.executable, "-m", "testbed", "run", "--resume", str(path), *more]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_a_resumed_run_takes_no_other_options(tmp_path):
    done = resume(tmp_path, "--seed", "3")
    assert done.returncode == 1
    assert "--resume continues a run as it was started; leave out seed" in done.stderr
    argv = [sys.executable, "-m", "testbed", "run", "--redo", "any.yaml"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: testbed run: --redo goes with --resume RESULTS\n",
    )


KEYS = ("point", "repeat", "method", "prompt", "output_sha256", "tokens")


def texts(found: Results) -> list[tuple]:
    rows = found.summary().rows
    return [(*(getattr(row, key) for key in KEYS), row.traffic.up_payload_bits) for row in rows]


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_resumed_run_is_what_an_uninterrupted_one_would_have_been(tmp_path, capfd):
    need_sandbox()
    wanted = {
        "methods": ["dsd", "dssd", "device_only"], "prompts": ["one", "two"], "backend": "relay",
        "decoding": {"temperature": 1.0, "max_new_tokens": 500},
    }  # fmt: skip
    cut = write(tmp_path, **wanted)
    whole, _ = launch(load_scenario(cut), tmp_path / "whole")
    process = subprocess.Popen(command(cut), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    for line in process.stdout:
        if line.startswith("[3/6]"):  # a run has ended, and the next one is in its middle
            break
    process.kill()
    process.communicate()
    found = results(cut)
    kept = found.ended()
    assert 0 < len(kept) < 3
    assert found.verdict().reasons == ["the run did not end"]
    assert all(each in texts(whole) for each in texts(found))

    capfd.readouterr()
    _, code = launch_again(found.path)
    assert code in (0, 3)
    assert f"{3 - len(kept)} of 3 runs are left to do" in capfd.readouterr().out
    assert texts(found) == texts(whole)
    assert all(run in found.ended() for run in kept)
    for one in whole.path.glob("runs/*/text.txt"):
        assert (found.path / one.relative_to(whole.path)).read_text() == one.read_text()
    assert len(found.packet_logs()) == 3 * 2
    assert [reason for log in found.packet_logs() for reason in judge_packets(log)] == []
    environment = json.loads((found.path / "environment.json").read_bytes())
    assert len(environment["resumed"]) == 1
    assert [each["session"] for each in environment["networks"]] == [0, 1]
    assert launch_again(found.path)[1] == code
    assert "nothing is left to do, 3 of 3 runs have ended" in capfd.readouterr().out
    assert texts(found) == texts(whole)


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_run_that_is_going_on_is_not_resumed(tmp_path):
    process, scenario = long_run(tmp_path)
    done = resume(results(scenario).path)
    assert done.returncode == 1
    assert "a run is still going on there" in done.stderr
    process.kill()
    process.communicate()
