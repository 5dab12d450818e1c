"""`backend: simulated`: scenarios that cannot be simulated are refused before anything starts."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest
import yaml

from testbed.emulation.backend import BACKENDS, choose_backend
from testbed.errors import TestbedError
from testbed.scenario.load import check_scenario, load_scenario
from testbed.scenario.simulated import require_simulable
from tests.scenario.test_load import BASE, SHIPPED

PACE = {"per_pass": "10ms", "per_token": "0"}
PACED = {**BASE, "backend": "simulated", "compute": {"draft": PACE, "target": PACE}}


def why_not(**changes) -> str:
    """Return the error sentence; "" if the scenario can be simulated."""
    try:
        require_simulable(check_scenario({**PACED, **changes}, "s.yaml"))
    except TestbedError as error:
        return str(error)
    return ""


NO_PACE = (
    "s.yaml: compute: the {0} model has no pace, and backend simulated does not measure its "
    "passes; give it one, compute.{0}"
)


@pytest.mark.parametrize(
    ("methods", "compute", "lacking"),
    [
        (["dssd"], "measured", "draft"),
        (["dssd"], {"draft": PACE}, "target"),
        (["dssd"], {"target": PACE}, "draft"),
        (["dssd"], {"draft": PACE, "target": PACE}, None),
        (["cloud_ar"], "measured", "target"),
        (["cloud_ar"], {"target": PACE}, None),
        (["device_only"], "measured", "draft"),
        (["device_only"], {"draft": PACE}, None),
        (["cloud_ar", "device_only"], {"draft": PACE}, "target"),
    ],
)
def test_each_model_that_is_used_needs_a_pace(methods, compute, lacking):
    wanted = NO_PACE.format(lacking) if lacking else ""
    assert why_not(methods=methods, compute=compute) == wanted


@pytest.mark.parametrize("name", ["bbr", "vegas"])
def test_another_congestion_control_is_refused(name):
    assert why_not(tcp={"congestion_control": name}) == (
        f"s.yaml: tcp.congestion_control: backend simulated does not model '{name}'; choose from "
        "cubic, reno"
    )


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_those_that_are_modelled_are_not_refused(name):
    assert why_not(tcp={"congestion_control": name}) == ""


def test_virtual_time_is_not_slowed_down():
    assert why_not(time_dilation=2.5) == (
        "s.yaml: time_dilation: it is 2.5, and backend simulated has no real time that could be "
        "slowed down; leave it at 1"
    )


def test_every_point_of_a_sweep_is_looked_at():
    assert why_not(sweep={"tcp.congestion_control": ["cubic", "bbr"]}).startswith(
        "s.yaml: tcp.congestion_control: backend simulated does not model 'bbr'"
    )
    # What the points replace is not run.
    replaced = {"sweep": {"tcp.congestion_control": ["cubic", "reno"]}}
    assert why_not(tcp={"congestion_control": "bbr"}, **replaced) == ""


def test_the_points_of_one_run_are_all_simulated_or_none():
    with pytest.raises(TestbedError, match=r"and none of name, topology, backend, sweep$"):
        check_scenario({**PACED, "sweep": {"backend": ["relay", "simulated"]}}, "s.yaml")


def test_whatever_links_do_can_be_simulated():
    impaired = {
        "rate": "5mbit", "delay": "20ms", "loss": {"mean": "1%", "burst": 4}, "corrupt": "1%",
        "duplicate": "1%", "reorder": "1%", "queue": {"limit": "64KiB", "discipline": "codel"},
    }  # fmt: skip
    changes = [{"at": "1s", "outage": "1s"}, {"at": "4s", "handover": "80ms"}]
    links = {"radio": {"up": impaired, "down": impaired, "changes": changes}}
    assert why_not(links=links, capture=True) == ""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_are_simulated_where_their_models_have_paces(path):
    scenario = load_scenario(path, ["backend=simulated"])
    paced = len(scenario.paces) == 2
    with nullcontext() if paced else pytest.raises(TestbedError, match="has no pace"):
        require_simulable(scenario)


def test_auto_never_simulates():
    assert "simulated" not in BACKENDS
    assert choose_backend("auto", ["links.radio: rate"]).backend == "relay"


def run(tmp_path, *options: str, **changes) -> str:
    """Return what `testbed run` prints of its error; it may leave nothing."""
    scenario = tmp_path / "s.yaml"
    scenario.write_text(yaml.safe_dump({**PACED, "backend": "auto", **changes}))
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "run", str(scenario), "--out", str(tmp_path / "out"),
         *options],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "out").exists()
    return done.stderr.removeprefix(f"error: {scenario}: ")


def test_run_refuses_what_cannot_be_simulated_before_anything_is_written(tmp_path):
    refused = run(tmp_path, "--backend", "simulated", compute="measured")
    assert refused.startswith("compute: the draft model has no")
