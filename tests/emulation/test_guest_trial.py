"""The trial of a guest kernel as a wire, and the cache of its success."""

import resource
import subprocess
import sys

import pytest

from testbed.emulation import guest_trial
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.guest_trial import why_no_guest
from testbed.emulation.netem import probe_netem
from testbed.errors import TestbedError
from tests.emulation.inside import need_sandbox

WHY = "the guest kernel of link trial did not start, 2 times in 4 s: mount: no"


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """Return the outcomes of the next trials (an error or nothing), and the trials made."""
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


def test_other_rights_limits_and_another_kernel_are_other_conditions(monkeypatch, tmp_path):
    conditions = guest_trial._conditions()
    assert conditions == guest_trial._conditions()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        assert guest_trial._conditions() != conditions
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    kernel = tmp_path / "linux.uml"
    kernel.touch()
    monkeypatch.setattr(guest_trial, "find_program", lambda _name: str(kernel))
    other = guest_trial._conditions()
    monkeypatch.setattr(guest_trial, "_RIGHTS", ())
    assert len({conditions, other, guest_trial._conditions()}) == 3
    kernel.unlink()
    assert guest_trial._conditions() == b""


CHOOSE = """
import sys
from testbed.emulation.backend import choose_backend
from testbed.errors import TestbedError
try:
    print(*choose_backend(sys.argv[1]))
except TestbedError as error:
    print(error)
"""


@pytest.mark.emulation
def test_a_limit_that_a_guest_does_not_boot_under_is_named_and_the_relay_taken(
    tmp_path, monkeypatch
):
    need_sandbox()
    if probe_netem().available or guest_missing():
        pytest.skip(f"no guest kernel, or no need of one: {guest_missing()}")
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path))
    (tmp_path / "guest-boots").write_bytes(guest_trial._conditions())  # it has booted here before
    limited = ["bash", "-c", 'ulimit -f 40; exec "$0" "$@"', sys.executable, "-c", CHOOSE]
    auto, netem = (
        subprocess.run(
            [*limited, backend], capture_output=True, text=True, check=True, timeout=120
        ).stdout
        for backend in ("auto", "netem")
    )
    for said in (auto, netem):
        assert said.count("\n") == 1
        assert "raise the limit, `ulimit -f`" in said
    assert auto.startswith("relay this kernel has no netem ")
    assert netem.endswith("; use `--backend relay` or `--backend auto`\n")
