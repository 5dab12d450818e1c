"""A text with late passes is decoded once more, and what was late counts nowhere."""

from __future__ import annotations

from itertools import count
from operator import attrgetter

import pytest

from testbed.audit.checks import pacing
from testbed.experiment.deployment import Deployment
from testbed.experiment.method_run import MethodRun
from testbed.experiment.preparation import prepare
from testbed.results.directory import Results
from testbed.scenario.load import check_scenario
from tests.emulation.inside import inside_sandbox
from tests.support.whole_run import SYNTHETIC


class Lines:
    """A display that only keeps what is said."""

    def __init__(self):
        self.said = []

    def update(self, tokens, seconds):
        pass

    def say(self, text):
        self.said.append(text)


def rows_when_late(monkeypatch, folder, late):
    """Return the rows of two generations and the lines shown; attempts in `late` are late."""
    times = count()
    # Asked once for each time that a text is decoded, and once more for its row.
    monkeypatch.setattr(pacing, "lateness", lambda *_: "late" if next(times) in late else None)
    scenario = check_scenario(
        {
            **SYNTHETIC,
            "methods": ["dssd"],
            "prompts": ["one", "two"],
            "compute": {"target": {"profile": "a100_llama2_7b"}},
        },
        "test",
    )
    (point,) = scenario.every_point()
    plan = prepare(point, "relay")
    display = Lines()
    with (
        Deployment(scenario, plan, Results.create(folder, "late")) as deployment,
        MethodRun(deployment, scenario.methods[0], 0) as running,
    ):
        rows = [row for prompt in (0, 1) for row in running.decode(prompt, display)]
    return rows, display.said


COUNTED = ("tokens", "counts.rounds", "counts.drafted", "counts.accepted", "output_sha256",
           "traffic.up_bytes", "traffic.up_payload_bits", "events.downlink_message_bytes",
           "events.downlink_payload_bits")  # fmt: skip


@inside_sandbox
def test_once_more_and_only_that_counts(tmp_path, monkeypatch):
    (first, second), said = rows_when_late(monkeypatch, tmp_path, {0})
    (same, _), silence = rows_when_late(monkeypatch, tmp_path, set())
    assert [row.redecodes for row in (first, second, same)] == [1, 0, 0]
    assert said == ["dssd prompt 1 once more: late"]
    assert silence == []
    assert "late" not in first.reasons + second.reasons
    for name in COUNTED:
        assert attrgetter(name)(first) == attrgetter(name)(same)
    for name in ("events.verify_s", "events.device_compute_s", "uplink_wire_bytes",
                 "downlink_wire_bytes"):  # fmt: skip
        assert attrgetter(name)(first) == pytest.approx(attrgetter(name)(same), rel=0.5)


@inside_sandbox
def test_a_machine_that_stays_late_is_not_asked_for_ever(tmp_path, monkeypatch):
    (first, second), said = rows_when_late(monkeypatch, tmp_path, set(range(99)))
    assert [row.redecodes for row in (first, second)] == [2, 0]
    assert len(said) == 2
    for row in (first, second):
        assert row.verdict == "invalid"
        assert "late" in row.reasons
