"""A run that cannot end: it fails alone, is named, and is done last when the rest is resumed."""

from __future__ import annotations

import json
import sys

import pytest

from testbed.cli import main
from testbed.errors import TestbedError
from testbed.exit_codes import OVERDUE
from testbed.experiment import launcher, sandboxed_workers
from testbed.report.page import write_report
from testbed.report.terminal import print_results
from testbed.results.journal import Discarded, NetworkUp, RunFailed, Stopped, append, read
from testbed.results.opening import open_results
from testbed.results.verdict import Verdict
from testbed.scenario.run_order import shuffled
from tests.support.fake_runs import fake_runs, scenario

METHODS = ["dsd", "device_only", "dssd"]


def all_of(method: str, count: int) -> set[tuple[str, int]]:
    return {(method, repeat) for repeat in range(count)}


def test_results_are_read_whose_resumption_was_killed_while_it_discarded_runs(
    tmp_path, monkeypatch
):
    fake_runs(monkeypatch)
    results, _ = launcher.launch(scenario(methods=METHODS), tmp_path)

    def killed(results, session):
        run = results.ended()[0]
        append(
            results.path,
            Discarded(session=session, point=run.point, turn=run.turn, level="suspect"),
        )
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(launcher, "discard_doubtful", killed)
        launcher.resume(results.path, redo=True)
    assert len(open_results(results.path).summary().rows) == len(METHODS) - 1
    assert launcher.resume(results.path)[1] == 0
    assert len(open_results(results.path).summary().rows) == len(METHODS)


def test_the_methods_behind_one_that_fails_are_measured_on_a_new_network(tmp_path, monkeypatch):
    fakes = fake_runs(monkeypatch, all_of("dsd", 2))
    wanted = scenario(methods=METHODS, repeat=2, seed=2, sweep={"timeout": ["1s", "2s"]})
    results, code = launcher.launch(wanted, tmp_path)
    assert code == 1
    assert len(fakes.ran) == len(set(map(str, fakes.ran))) == 2 * 3 * 2
    found = results.summary()
    assert [(row.point["timeout"], row.method, row.repeat) for row in found.rows] == [
        (timeout, method, repeat)
        for timeout in ("1s", "2s")
        for repeat in (0, 1)
        for method in ("device_only", "dssd")
    ]
    assert [(run.point["timeout"], run.method, run.repeat) for run in found.failed] == [
        (timeout, "dsd", repeat) for timeout in ("1s", "2s") for repeat in (0, 1)
    ]
    assert results.verdict().reasons[:2] == [
        "timeout 1s: dsd failed: no answer to dsd",
        "timeout 1s: dsd repeat 2 failed: no answer to dsd",
    ]
    assert "4 of 12 runs have not ended" in results.verdict().reasons
    # Another network after each failure, unless nothing was left to do.
    records = list(read(results.path))
    failures = [record for record in records if isinstance(record, RunFailed)]
    networks = [record for record in records if isinstance(record, NetworkUp)]
    assert [record.network for record in failures] == [
        network.network
        for network in networks
        if network.network in {record.network for record in failures}
    ]
    assert 5 <= fakes.networks == len(networks) <= 6


def test_resume_does_failed_runs_last_at_all_points(tmp_path, monkeypatch, capsys):
    fakes = fake_runs(monkeypatch, all_of("dsd", 2))
    wanted = scenario(methods=METHODS[:2], repeat=2, sweep={"timeout": ["1s", "2s"]})
    results, _ = launcher.launch(wanted, tmp_path)
    # As if it had been killed before two of the others had ended.
    (results.path / "summary.json").unlink()
    journal = results.path / "journal.jsonl"
    *lines, _ = journal.read_text().splitlines(keepends=True)
    runs = [line for line in lines if '"event":"run"' in line]
    journal.write_text("".join(line for line in lines if line not in (runs[0], runs[-1])))

    fakes.ran.clear()
    _, code = launcher.resume(results.path)
    assert code == 1
    assert [method for _, method, _ in fakes.ran] == ["device_only"] * 2 + ["dsd"] * 4

    fakes = fake_runs(monkeypatch)
    _, code = launcher.resume(results.path)
    assert code == 0
    assert [method for _, method, _ in fakes.ran] == ["dsd"] * 4
    assert results.summary().failed == []
    assert len(results.summary().rows) == 8
    assert results.verdict() == Verdict()
    # Readers see how often, for what succeeds at last was lucky perhaps.
    assert results.retried() == 8
    print_results(results)
    assert "8 repetitions of runs that had failed" in capsys.readouterr().out
    assert "8 repetitions of runs that had failed." in write_report(results).read_text()


def test_resume_refuses_another_scenario_or_plan_than_the_one_begun(tmp_path, monkeypatch):
    fake_runs(monkeypatch, all_of("dsd", 1))
    results, _ = launcher.launch(scenario(methods=METHODS[:2]), tmp_path)
    fakes = fake_runs(monkeypatch)
    for name in ("scenario.yaml", "plan.json"):
        file = results.path / name
        whole = file.read_text()
        assert "device_only" in whole
        file.write_text(f"{whole}\n")
        with pytest.raises(TestbedError, match=f"^{file}: it is not as it was when the run was b"):
            launcher.resume(results.path)
        file.write_text(whole)
    assert fakes.ran == []
    _, code = launcher.resume(results.path)
    assert code == 0


@pytest.mark.parametrize("failing", [["dsd", "device_only"], ["dsd"]])
def test_a_point_is_given_up_after_three_failed_runs_in_a_row(tmp_path, monkeypatch, failing):
    broken = set().union(*(all_of(method, 4) for method in failing))
    order = [turn.method for turn in shuffled(["dsd", "device_only"], 4, 5, {})]
    fakes = fake_runs(monkeypatch, broken)
    wanted = scenario(methods=["dsd", "device_only"], repeat=4, seed=5)
    results, code = launcher.launch(wanted, tmp_path)
    assert code == 1
    bad = "".join("x" if method in failing else "." for method in order)
    tried = bad.index("xxx") + 3 if "xxx" in bad else len(bad)
    assert [method for _, method, _ in fakes.ran] == order[:tried]
    stopped = [record.reason for record in read(results.path) if isinstance(record, Stopped)]
    if tried < len(order):
        assert stopped == [
            "the run stopped: 3 runs in a row have failed; --resume does the "
            f"{len(order) - tried} that are left here"
        ]
    else:
        assert stopped == []


def test_results_with_a_failed_run_are_shown_reported_and_exported(tmp_path, monkeypatch, capsys):
    fake_runs(monkeypatch, {("dsd", 0)})
    results, _ = launcher.launch(scenario(methods=METHODS), tmp_path)
    (folder,) = results.path.glob("runs/dsd-0*")
    # What its nodes and captures leave is cut anywhere.
    (folder / "device.jsonl").write_bytes(b'{"node": "device", "t": 1, "eve')
    (folder / "packets.radio.up.jsonl.gz").write_bytes(b"\x1f\x8b")
    (folder / "text.txt").write_text("--- prompt 1")
    capsys.readouterr()
    print_results(results)
    shown = capsys.readouterr().out
    assert "dsd failed: no answer to dsd" in shown
    page = write_report(results).read_text()
    assert "dsd failed: no answer to dsd" in page
    summary = json.loads((results.path / "summary.json").read_bytes())
    assert {row["method"] for row in summary["rows"]} == {"device_only", "dssd"}
    assert summary["failed"][0]["reason"] == "no answer to dsd"
    assert set(results.events()) == {"device_only-0", "dssd-0"}
    monkeypatch.setattr(sys, "argv", ["testbed", "packets", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert isinstance(open_results(results.path).verdict(), Verdict)


def test_a_sandbox_that_did_not_end_in_time_is_said_to_have_been_killed(
    tmp_path, monkeypatch, capsys
):
    fake_runs(monkeypatch)
    monkeypatch.setattr(sandboxed_workers, "run_in_sandboxes", lambda *_, **_more: [OVERDUE])
    results, code = launcher.launch(scenario(), tmp_path)
    said = "the run was interrupted, and killed as it did not end within 10 s"
    assert code == 1
    assert results.verdict().reasons[0] == said
    assert capsys.readouterr().err == f"error: {said}\n"
