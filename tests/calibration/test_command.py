"""`testbed calibrate`, and its results."""

import json
import subprocess
import sys

import pytest

from plots import draw
from testbed import cli
from testbed.calibration import launcher
from testbed.calibration.result import Calibration, Curves
from testbed.emulation.backend import Choice
from testbed.errors import TestbedError
from testbed.results.directory import Results
from testbed.results.link_check import judge, not_measured
from tests.emulation.inside import need_sandbox
from tests.support.whole_run import write


def calibration(measured=0.02):
    steps = [(0.1 + 0.025 * step, 0.002 * (step + 1)) for step in range(20)]
    curves = [
        Curves(
            "radio", direction, delays=[0.019, 0.02], delays_asked=[0.019, 0.02], runs=[0.7, 0.2],
            runs_asked=[0.7, 0.21], changes=steps, changes_asked=steps,
        )
        for direction in ("up", "down")
    ]  # fmt: skip
    return Calibration(
        source="reference link",
        backend="relay",
        links={"radio": {"up": {}, "down": {}}},
        checks=[
            judge("radio", "up", "burst of 1", "s", measured=measured, requested=0.02, high=0.021),
            not_measured("radio", "down", "burst of 1", "s", "the rate is not limited"),
        ],
        curves=curves,
        environment={},
    )


@pytest.mark.emulation
def test_a_profile_is_calibrated_from_the_command_line(tmp_path):
    need_sandbox()
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "calibrate", "--profile", "fibre", "--backend", "relay",
         "--out", str(tmp_path)],
        check=False, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3 where tests keep it busy
    (folder,) = tmp_path.iterdir()
    found = Calibration.read(folder)
    assert found.backend == "relay"
    assert found.passed == (done.returncode == 0)
    assert {check.name for check in found.checks} >= {
        "noise floor", "delay, median", "burst of 1", "rate, UDP", "loss", "changes, late p99",
        "repeatability", "p99 under load", "out of order", "unaccounted for",
    }  # fmt: skip
    for name in ("rate, UDP", "rate, TCP"):
        assert f"radio up: {name} not measured" in done.stdout
    assert (folder / "figures" / "calibration.png").stat().st_size > 10_000


def test_the_hosts_have_the_scenarios_congestion_control(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "choose_backend", lambda *_: Choice("relay"))
    asked = []
    monkeypatch.setattr(launcher, "require_offered", lambda *given: asked.append(given))
    scenario = write(tmp_path, tcp={"congestion_control": "vegas"})
    assert launcher.request(scenario, None, "auto").congestion_control == "vegas"
    assert launcher.request(None, "fibre", "auto").congestion_control == "cubic"
    assert asked == [
        ("vegas", "the hosts", "scenario.yaml: "), ("cubic", "the hosts", "fibre: "),
    ]  # fmt: skip


def test_there_is_nothing_to_calibrate_in_a_simulation(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["testbed", "calibrate", "--backend", "simulated"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(
        "error: argument --backend: simulated links are computed, so that there is nothing to "
        "measure; choose from auto, netem, relay\n"
    )


@pytest.mark.parametrize(("measured", "code"), [(0.02, 0), (0.03, 3)])
def test_a_failure_is_an_exit_code(tmp_path, monkeypatch, capsys, measured, code):
    found = calibration(measured)
    results = Results.create(tmp_path, "calibration")
    results.write_json("calibration.json", found)
    monkeypatch.setattr(launcher, "run", lambda _request, _out: (results, found))
    monkeypatch.setattr(launcher, "request", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["testbed", "calibrate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    said = capsys.readouterr().out
    assert f"calibration: {'passed' if code == 0 else 'failed'}" in said
    assert "radio down: burst of 1 not measured: the rate is not limited" in said


def test_the_figure_has_a_panel_for_each_thing_that_was_measured(tmp_path):
    results = Results.create(tmp_path, "calibration")
    assert list(draw(results, "calibration")) == []
    results.write_json("calibration.json", calibration())
    assert {path.suffix for path in draw(results, "calibration")} == {".png", ".pdf"}


def test_what_to_calibrate_is_a_profile_a_scenario_or_the_reference(tmp_path):
    assert launcher.request(None, None, "relay").links["radio"]["up"]["rate"] == "5mbit"
    assert launcher.request(None, "lte_good", "relay").links["radio"]["up"]["rate"] == "14.9mbit"
    with pytest.raises(TestbedError, match="--profile: 'lte' is not a profile"):
        launcher.request(None, "lte", "relay")
    with pytest.raises(TestbedError, match="cannot be read"):
        launcher.request(tmp_path / "none.yaml", None, "relay")


@pytest.mark.parametrize("text", ["{", json.dumps({"version": 9})])
def test_a_record_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(TestbedError, match=r"calibration\.json: cannot be read"):
        Calibration.read(tmp_path)
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(TestbedError, match=r"calibration\.json: cannot be read"):
        Calibration.read(tmp_path)
