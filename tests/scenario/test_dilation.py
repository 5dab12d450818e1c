"""`time_dilation` in a scenario: settings that allow it, and how results report it."""

from __future__ import annotations

import msgspec
import pytest

from testbed import clock
from testbed.analysis.aggregate import dilation_text
from testbed.calibration.link_bench import LinkBench
from testbed.errors import TestbedError
from testbed.links.spec import LinkSpec
from testbed.report.terminal import print_results
from testbed.scenario.load import check_scenario
from testbed.topology.declarations import LinkDeclaration
from tests.emulation.inside import symmetric
from tests.scenario.test_load import BASE
from tests.support.records import ROW, make_results, row

COST = {"per_pass": "10ms", "per_token": "0"}
PACED = {**BASE, "compute": {"draft": COST, "target": COST}}


@pytest.fixture
def five():
    """Set a dilation of 5 during a test."""
    clock.set_dilation(5.0)
    yield
    clock.set_dilation(1.0)


def test_a_paced_scenario_may_be_dilated_and_stays_what_it_is():
    plain = check_scenario(PACED, "s.yaml")
    slow = check_scenario({**PACED, "time_dilation": 5}, "s.yaml")
    assert slow.links == plain.links
    assert slow.paces == plain.paces
    assert {**slow.to_mapping(), "time_dilation": 1.0} == plain.to_mapping()
    assert check_scenario(slow.to_mapping(), "again.yaml").to_mapping() == slow.to_mapping()


@pytest.mark.parametrize(
    ("methods", "roles", "lacks"),
    [
        (["dssd"], ["target"], "draft"),
        (["dssd"], ["draft"], "target"),
        (["dssd"], [], "draft"),
        (["cloud_ar"], [], "target"),
        (["device_only"], [], "draft"),
        (["cloud_ar"], ["target"], None),
        (["device_only"], ["draft"], None),
        (["device_only", "cloud_ar"], ["draft"], "target"),
    ],
)
def test_a_model_that_takes_its_own_time_cannot_be_dilated(methods, roles, lacks):
    compute = dict.fromkeys(roles, COST) or "measured"
    raw = {**BASE, "methods": methods, "compute": compute, "time_dilation": 2.5}
    if lacks is None:
        check_scenario(raw, "s.yaml")
        return
    with pytest.raises(TestbedError) as caught:
        check_scenario(raw, "s.yaml")
    assert str(caught.value) == (
        f"s.yaml: time_dilation: it is 2.5, but the {lacks} model takes its own time, which would "
        f"count as that of one 2.5 times as fast; give it a pace, compute.{lacks}, or leave "
        "time_dilation at 1"
    )
    check_scenario({**raw, "time_dilation": 1}, "s.yaml")


def test_factors_and_timeouts_have_their_limits():
    for factor, error in (
        (0.5, ": 0.5: expected `float` >= 1.0"),
        (101, ": 101: expected `float` <= 100.0"),
        ("2", ": '2': expected `float`, got `str`"),
    ):
        with pytest.raises(TestbedError) as caught:
            check_scenario({**PACED, "time_dilation": factor}, "s.yaml")
        assert str(caught.value) == f"s.yaml: time_dilation{error}"
    with pytest.raises(TestbedError, match="it is 10 and timeout 8641s; one times the other"):
        check_scenario({**PACED, "time_dilation": 10, "timeout": "8641s"}, "s.yaml")
    check_scenario({**PACED, "time_dilation": 10, "timeout": "8640s"}, "s.yaml")


def test_a_link_is_measured_as_slowed_and_told_of_in_emulated_time(five):
    stage = object.__new__(LinkBench)
    stage.link = LinkDeclaration("radio", "device", "base_station")
    stage.requested = symmetric(rate=10e6, delay=0.02)
    assert stage.spec("up") == LinkSpec(rate=2e6, delay=0.1, queue=stage.requested.up.queue)
    check = stage.judge("up", "d", "s", measured=0.104, requested=0.1, low=0.098, high=0.102)
    assert (check.measured, check.requested) == pytest.approx((0.0208, 0.02))
    assert (check.low, check.high) == pytest.approx((0.0196, 0.0204))
    assert check.outcome == "failed"
    rate = stage.judge("up", "r", "bit/s", measured=1.9e6, requested=2e6, low=1.8e6)
    assert (rate.measured, rate.requested, rate.low, rate.high) == (9.5e6, 10e6, 9e6, None)
    assert stage.judge("up", "l", "share", measured=0.01, high=0.02).measured == 0.01


def test_results_say_by_how_much_time_was_dilated(tmp_path, capsys):
    rows = [row("dsd", time_dilation=5.0), row("dssd", time_dilation=5.0)]
    print_results(make_results(tmp_path, rows))
    told = "in emulated time; everything ran 5 times as slow"
    assert told in capsys.readouterr().out.splitlines()
    print_results(make_results(tmp_path, [ROW]))
    assert "emulated" not in capsys.readouterr().out
    assert dilation_text([ROW, *rows]).endswith("ran 1 or 5 times as slow")
    assert dilation_text([]) == dilation_text([ROW]) == ""


def test_results_of_before_there_was_a_dilation_have_none():
    old = msgspec.to_builtins(ROW)
    del old["time_dilation"]
    assert msgspec.convert(old, type(ROW)) == ROW
