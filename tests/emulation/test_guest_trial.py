"""The trial of a guest kernel as a wire, and the memory of its success; boots nothing."""

import pytest

from testbed.emulation import guest_trial
from testbed.emulation.guest_trial import why_no_guest
from testbed.errors import TestbedError

WHY = "the guest kernel of link trial did not start, 2 times in 4 s: mount: no"


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """The outcomes of trials to come, an error or nothing, and the trials made."""
    outcomes, tried = [], []

    def try_wire(backend):
        tried.append(backend)
        if outcome := outcomes.pop(0):
            raise TestbedError(outcome)

    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(guest_trial, "guest_missing", lambda: "")
    monkeypatch.setattr(guest_trial, "_conditions", lambda: b"as today")
    monkeypatch.setattr(guest_trial, "try_wire", try_wire)
    return outcomes, tried


def test_a_success_is_remembered_until_something_changes(trials, monkeypatch):
    outcomes, tried = trials
    outcomes += [None, None]
    assert [why_no_guest(), why_no_guest()] == ["", ""]
    assert tried == ["guest netem"]
    monkeypatch.setattr(guest_trial, "_conditions", lambda: b"as tomorrow")
    assert why_no_guest() == ""
    assert len(tried) == 2


def test_a_failure_is_tried_again_and_comes_without_the_advice_to_take_the_relay(trials):
    outcomes, _ = trials
    outcomes += [f"{WHY}; use `--backend relay`", None]
    assert [why_no_guest(), why_no_guest()] == [WHY, ""]


def test_a_cache_that_cannot_be_written_costs_a_trial_each_time(trials, tmp_path, monkeypatch):
    outcomes, tried = trials
    outcomes += [None, None, None, None]
    (tmp_path / "cache").write_text("a file, where the folder should be")
    assert [why_no_guest(), why_no_guest()] == ["", ""]
    assert len(tried) == 2
    (tmp_path / "cache").unlink()
    monkeypatch.setattr(guest_trial, "_conditions", lambda: b"")  # and so do those nobody knows
    assert [why_no_guest(), why_no_guest()] == ["", ""]
    assert len(tried) == 4


def test_what_is_missing_is_not_tried(trials, monkeypatch):
    monkeypatch.setattr(guest_trial, "guest_missing", lambda: "linux.uml")
    assert why_no_guest() == "a guest kernel needs linux.uml"
    assert trials[1] == []


def test_other_rights_and_another_kernel_are_other_conditions(monkeypatch, tmp_path):
    conditions = guest_trial._conditions()
    assert conditions == guest_trial._conditions()
    kernel = tmp_path / "linux.uml"
    kernel.touch()
    monkeypatch.setattr(guest_trial, "find_program", lambda _name: str(kernel))
    other = guest_trial._conditions()
    monkeypatch.setattr(guest_trial, "_RIGHTS", ())
    assert len({conditions, other, guest_trial._conditions()}) == 3
    kernel.unlink()
    assert guest_trial._conditions() == b""
