"""Captures of a run's links agree with the counters of links and nodes, or the run is invalid."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from testbed.audit.capture_evidence import Entry
from testbed.audit.link_counters import LinkAudit
from testbed.emulation.sandbox import find_program
from testbed.errors import TestbedError
from testbed.experiment import method_run
from testbed.experiment.deployment import Deployment
from testbed.experiment.method_run import MethodRun
from testbed.experiment.preparation import prepare
from testbed.pcap.capture_index import read_captures, sent_frames
from testbed.pcap.rounds import rounds
from testbed.results.directory import Results
from testbed.scenario.load import check_scenario
from tests.emulation.inside import inside_sandbox
from tests.experiment.test_late_texts import Lines
from tests.support.whole_run import SYNTHETIC, results, run, write

pytestmark = pytest.mark.skipif(find_program("tcpdump") is None, reason="there is no tcpdump")


def lossy(loss: str) -> dict:
    direction = {"rate": "20mbit", "delay": "2ms", "loss": loss}
    return {"radio": {"up": direction, "down": direction}}


def ledger(found: Results) -> list[Entry]:
    (folder,) = (found.path / "runs").iterdir()
    return msgspec.json.decode((folder / "ledger.json").read_bytes(), type=list[Entry])


@pytest.mark.parallel
@pytest.mark.emulation
@pytest.mark.parametrize("loss", ["0%", "5%"])
def test_every_byte_of_a_run_has_a_use(tmp_path, loss):
    scenario = write(
        tmp_path, methods=["dssd"], prompts=["one", "two"], links=lossy(loss), backend="relay",
        capture=True,
    )  # fmt: skip
    run(scenario)
    found = results(scenario)
    rows, entries = found.summary().rows, ledger(found)
    assert [(e.prompt, e.link, e.direction) for e in entries] == [
        (prompt, "radio", direction) for prompt in (0, 1) for direction in ("up", "down")
    ]
    for entry in entries:
        row = rows[entry.prompt]
        up = entry.direction == "up"
        assert entry.unaccounted == 0
        assert entry.bytes == (row.uplink_wire_bytes if up else row.downlink_wire_bytes)
        messages = row.traffic.up_bytes if up else row.events.downlink_message_bytes
        assert entry.uses.messages + entry.uses.payload == messages
        assert entry.uses.other == 0
    assert sum(e.uses.retransmissions for e in entries) > 0 or loss == "0%"
    (folder,) = (found.path / "runs").iterdir()
    captures = read_captures(folder)
    seen = list(rounds(*sent_frames(folder, captures)["radio"]))
    assert len(seen) == sum(row.counts.rounds for row in rows)
    assert all(each.answered and each.answered > each.asked for each in seen)
    assert [each.number for each in seen] == [n for row in rows for n in range(row.counts.rounds)]


@pytest.mark.parallel
@pytest.mark.emulation
def test_two_links_one_behind_the_other(tmp_path):
    direction = {"rate": "100mbit", "delay": "2ms", "loss": "3%"}
    links = {name: {"up": direction, "down": direction} for name in ("radio", "backhaul")}
    scenario = write(
        tmp_path, topology="three_tier", verifier="cloud", links=links, methods=["dsd"],
        backend="relay", capture=True,
    )  # fmt: skip
    run(scenario)
    assert {(e.link, e.unaccounted) for e in ledger(results(scenario))} == {
        ("radio", 0),
        ("backhaul", 0),
    }


@pytest.mark.parallel
@pytest.mark.emulation
def test_without_captures_there_is_no_ledger(tmp_path):
    scenario = write(tmp_path, methods=["dssd"])
    run(scenario)
    (folder,) = (results(scenario).path / "runs").iterdir()
    assert not list(folder.glob("capture*"))
    assert not (folder / "ledger.json").exists()


def verdict_of(folder, **changes):
    """Return the verdict on a run in this process."""
    scenario = check_scenario({**SYNTHETIC, "methods": ["dssd"], **changes}, "test")
    (point,) = scenario.every_point()
    plan = prepare(point, "relay")
    with (
        Deployment(scenario, plan, Results.create(folder, "seen")) as deployment,
        MethodRun(deployment, scenario.methods[0], 0) as running,
    ):
        running.decode(0, Lines())
        return running.end().verdict


@inside_sandbox
@pytest.mark.parametrize("what", ["received_bytes", "received_packets", "forwarded_packets"])
def test_a_link_that_counts_one_more_is_found_out(tmp_path, monkeypatch, what):
    read, calls = LinkAudit.read, []

    def more(self):
        reading = read(self)
        calls.append(reading)
        wire = reading.wires["radio"]
        up = replace(wire.up, **{what: getattr(wire.up, what) + len(calls)})
        return replace(reading, wires={"radio": replace(wire, up=up)})

    assert verdict_of(tmp_path).level != "invalid"
    monkeypatch.setattr(LinkAudit, "read", more)
    verdict = verdict_of(tmp_path)
    assert verdict.level == "invalid"
    assert any("by the capture" in reason for reason in verdict.reasons)


@inside_sandbox
def test_a_capture_that_dies_is_noticed(tmp_path, monkeypatch):
    captures = method_run.Captures

    def dying(*args):
        made = captures(*args)
        made._captures["radio"][0]._process.kill()
        return made

    monkeypatch.setattr(method_run, "Captures", dying)
    with pytest.raises(TestbedError, match=r"tcpdump at .* of device"):
        verdict_of(tmp_path)


@pytest.mark.parametrize(
    ("capture", "why", "captured", "warned"),
    [(True, "", True, False), (True, "no", False, True), (False, "no", False, False)],
)
def test_what_cannot_be_captured_is_not_and_comes_with_a_warning(capture, why, captured, warned):
    scenario = check_scenario({**SYNTHETIC, "capture": capture}, "test")
    (point,) = scenario.every_point()
    plan = prepare(point, "relay", why_no_captures=why)
    assert plan.capture == captured
    said = "frames are not captured, so that there is no ledger of their bytes: no"
    assert plan.warnings == [said] * warned
