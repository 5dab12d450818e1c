"""Checks are found by their files, and each finds its fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import testbed.audit.checks as package
from testbed.audit.base import AuditCheck, ResultsCheck, checks, judge
from testbed.audit.capture_evidence import Entry, GenerationCounters
from testbed.audit.evidence import NetworkEvidence
from testbed.audit.link_packets import CounterSnapshot, LinkPackets, SharedLinkPackets
from testbed.audit.verdicts_page import verdicts_page
from testbed.links.wire_counters import DirectionCounters, Lateness, WireCounters
from testbed.pcap.byte_ledger import Ledger
from testbed.results.link_check import judge as measured
from testbed.results.verdict import Verdict
from tests.support.evidence import generation_evidence, result, run_evidence

PATH = list(package.__path__)
PAGE = Path(package.__file__).parents[2] / "docs" / "verdicts.md"


@pytest.fixture(autouse=True)
def found_anew():
    checks.cache_clear()
    yield
    checks.cache_clear()


def test_every_file_is_a_check_of_that_name():
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert [check.__module__.rpartition(".")[2] for check in checks()] == [c.name for c in checks()]
    assert {check.name for check in checks()} == files
    levels = [check.level for check in checks()]
    assert levels == sorted(levels)
    for check in checks():
        assert all("\n" not in text and "|" not in text for text in (check.limit, check.remedy))


def test_the_page_lists_every_check():
    assert PAGE.read_text(encoding="utf-8") == verdicts_page(), (
        "run python -m testbed.audit.verdicts_page > testbed/docs/verdicts.md"
    )


def test_a_new_file_is_all_that_a_new_check_needs(tmp_path, monkeypatch):
    (tmp_path / "too_many_prompts.py").write_text(
        "from testbed.audit.base import RunCheck\n"
        "class TooManyPrompts(RunCheck):\n"
        "    name, level = 'too_many_prompts', 'suspect'\n"
        "    limit, remedy = 'at most 1 prompt', 'leave some out'\n"
        "    def judge(self, evidence):\n"
        "        if len(evidence.counted) > 1:\n"
        "            yield f'{evidence.folder}: {len(evidence.counted)} prompts (limit 1)'\n"
    )
    two = run_evidence(counted=[None, None])
    assert judge(two) == Verdict()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert judge(two) == Verdict()  # checks are found once
    checks.cache_clear()
    assert judge(two) == Verdict("suspect", ["dsd-0: 2 prompts (limit 1)"])
    assert judge(run_evidence(counted=[None])) == judge(generation_evidence()) == Verdict()
    row = "| `too_many_prompts` | suspect | a run, when it has ended | at most 1 prompt | leave "
    assert row in verdicts_page()


def test_checks_that_cannot_be_found_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "gone")])
    with pytest.raises(FileNotFoundError):
        judge(run_evidence())
    monkeypatch.setattr(package, "__path__", [str(tmp_path)])
    with pytest.raises(TypeError, match="no AuditCheck"):
        judge(run_evidence())
    (tmp_path / "of_nothing.py").write_text(
        "from testbed.audit.base import AuditCheck\n"
        "class OfNothing(AuditCheck):\n"
        "    name, level, limit, remedy = 'of_nothing', 'invalid', 'none', 'none'\n"
    )
    monkeypatch.setattr(package, "__path__", [*PATH, str(tmp_path)])
    with pytest.raises(TypeError, match="OfNothing does not say what it judges"):
        judge(run_evidence())


def test_checks_of_the_journal_are_listed_and_judge_nothing():
    listed = {check.name for check in checks() if issubclass(check, ResultsCheck)}
    assert listed == {"network_missing", "run_failed", "run_missing", "session_stopped"}
    assert not hasattr(AuditCheck, "judge")


# --- links before a run ---------------------------------------------------------------------------


def test_a_link_that_is_late_is_suspect_and_one_that_is_early_invalid():
    late, early, right = (
        measured("radio", "up", "delay", "s", measured=seconds, low=0.019, high=0.021)
        for seconds in (0.022, 0.018, 0.02)
    )
    assert judge(NetworkEvidence([right])) == Verdict()
    assert judge(NetworkEvidence([right, late])).level == "suspect"
    verdict = judge(NetworkEvidence([late, early]))
    assert verdict.level == "invalid"
    assert [reason[:29] for reason in verdict.reasons] == [
        "link radio up: delay was 18.0", "link radio up: delay was 22.0",
    ]  # fmt: skip


# --- a generation ---------------------------------------------------------------------------------


def radio(**changes) -> LinkPackets:
    """Ten packets each way, none lost; `changes` replace counters of the wire's up direction."""
    ten = DirectionCounters(10, 1000, 10, 1000, 0, 0)
    return LinkPackets("radio", WireCounters(replace(ten, **changes), ten), (10, 10), (10, 10))


@pytest.mark.parametrize(
    ("link", "level", "reasons"),
    [
        (radio(), "valid", []),
        (radio(forwarded_packets=9, dropped_packets=1), "invalid", ["9 packets left the wire, 10"]),
        (radio(duplicated_packets=1), "invalid", ["11 packets in, 10 accounted for"]),
        (
            radio(received_packets=9, duplicated_packets=1),
            "invalid",
            ["10 packets sent, 9 reached"],
        ),
        (radio(socket_drops=2), "invalid", ["the relay missed 2 packets"]),
        (radio(lateness=Lateness(0.0, 5e-3, 1.0)), "valid", []),
        (
            radio(lateness=Lateness(0.0, 5.1e-3, 1.0)),
            "suspect",
            ["1 % of packets left over 5.1 ms late (limit 5 ms): this machine is too busy"],
        ),
    ],
)
def test_packets_that_vanish_are_invalid_and_late_ones_suspect(link, level, reasons):
    verdict = judge(generation_evidence(links=[link]))
    assert verdict.level == level
    for reason, said in zip(verdict.reasons, reasons, strict=True):
        assert reason.startswith(f"link radio up: {said}")


def test_packets_that_a_cell_loses_are_invalid():
    cells = [SharedLinkPackets("air", "radio", *counts) for counts in [(3, 3, 2, 2), (3, 0, 2, 1)]]
    assert judge(generation_evidence(cells=cells)) == Verdict(
        "invalid",
        [
            "air, before link radio up: 3 packets came from devices, 0 went in",
            "air, before link radio down: 2 packets came out, 1 went on",
        ],
    )


@pytest.mark.parametrize(("alone", "who"), [(True, "the device"), (False, "device1")])
def test_messages_that_lose_bytes_are_invalid_unless_the_connection_broke(alone, who):
    answers = [{"event": "send", "bytes": 9}, {"event": "receive", "bytes": 70}]

    def judged(**report):
        evidence = generation_evidence(alone=alone, answers=answers, result=result(**report))
        return judge(evidence).reasons

    assert judged(down_bytes=9) == judged(down_bytes=8, resends=1) == []
    assert judged(down_bytes=8) == [f"the verifier sent 9 B of messages, {who} got 8"]


# --- a run ----------------------------------------------------------------------------------------


def counted(prompt: int, messages: dict[str, int] | None) -> GenerationCounters:
    snapshot = CounterSnapshot(0, 0, {})
    return GenerationCounters(prompt, snapshot, snapshot, messages)


def entry(link: str, size: int, messages: int, prompt: int = 0) -> Entry:
    return Entry(
        prompt=prompt, link=link, direction="up", frames=1, bytes=size,
        uses=Ledger(messages=messages),
    )  # fmt: skip


def test_captured_bytes_have_uses_and_messages_are_those_of_the_nodes():
    ledger = [entry("radio", 60, 60), entry("backhaul", 70, 60), entry("radio", 50, 50, prompt=1)]
    seen = SimpleNamespace(differences=lambda *_: ["3 frames sent"])
    evidence = run_evidence(
        captured={"radio": {"up": seen}},
        counted=[counted(0, {"up": 60}), counted(1, {"up": 51})],
        ledger=ledger,
    )
    assert judge(evidence) == Verdict(
        "invalid",
        [
            "dsd-0 prompt 1: link radio up: 3 frames sent",
            "dsd-0 prompt 2: link radio up: 3 frames sent",
            "dsd-0 prompt 2: 50 B of messages captured up, 51 by the nodes",
            "dsd-0 prompt 1: link backhaul up: 10 B have no use",
        ],
    )
    resent = replace(evidence, counted=[counted(1, None)], ledger=[], captured={})
    assert judge(resent) == Verdict()


def test_without_captures_no_message_is_missed():
    assert judge(run_evidence(counted=[counted(0, {"up": 60})])) == Verdict()
