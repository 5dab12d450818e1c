"""The reason why frames cannot be captured, with its remedy."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from testbed.emulation import sandbox
from testbed.errors import TestbedError
from testbed.host.machine_errors import TOO_LARGE
from testbed.pcap import capture_trial, tcpdump
from testbed.pcap.capture_trial import why_no_captures
from tests.emulation.inside import need_sandbox

NO = "echo no >&2; exit 1"


@pytest.fixture(autouse=True)
def fresh():
    why_no_captures.cache_clear()
    yield
    why_no_captures.cache_clear()


@pytest.fixture
def trial(monkeypatch, tmp_path):
    """Return a function that sets the trial's script, its time-out and the user's rights."""

    def prepare(script, uid=0, uid_map="0 0 4294967295", seconds=60):
        (tmp_path / "uid_map").write_text(f"  {uid_map}\n")
        monkeypatch.setattr(capture_trial, "_UID_MAP", tmp_path / "uid_map")
        monkeypatch.setattr(capture_trial, "find_program", lambda name: name)
        monkeypatch.setattr(sandbox, "_sandbox_command", lambda: ["sh", "-c", script])
        monkeypatch.setattr(capture_trial, "_PATIENCE", seconds)
        monkeypatch.setattr(os, "geteuid", lambda: uid)

    return prepare


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"script": "true", "uid": 1000}, ""),
        ({"script": f"echo noise >&2; {NO}"}, "no; set capture: false"),
        ({"script": NO, "uid": 1}, "no; run as root outside user namespaces or set capture: false"),
        (
            {"script": NO, "uid_map": "0 1000 1"},
            "no; run as root outside user namespaces or set capture: false",
        ),
        ({"script": "exit 7"}, "a trial of a capture failed: exit code 7; set capture: false"),
        (
            {"script": "kill -XFSZ $$"},
            f"a trial of a capture failed: signal SIGXFSZ: {TOO_LARGE}; set capture: false",
        ),
        (
            {"script": "exec sleep 60", "seconds": 0.2},
            "a trial of a capture did not end within 0.2 s; set capture: false",
        ),
    ],
)
def test_the_reason_comes_with_what_helps(trial, given, why):
    trial(**given)
    assert why_no_captures() == why


def test_without_tcpdump_there_is_nothing_to_try(monkeypatch):
    monkeypatch.setattr(capture_trial, "find_program", lambda _name: None)
    assert why_no_captures() == (
        "`tcpdump` is missing; `apt install tcpdump` or set capture: false"
    )


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "did not begin: exit code 3"),
        ("sleep 60", "did not begin: it said nothing for 0.2 s"),
        ("trap '' USR1 INT; echo listening on lo >&2; kill -9 $$", "failed: signal SIGKILL"),
    ],
)
def test_a_tcpdump_without_a_word_still_has_a_reason(tmp_path, monkeypatch, script, why):
    def popen(_argv, **options):
        return subprocess.Popen(["sh", "-c", script], **options)

    inside = SimpleNamespace(name="here", json=lambda _argv: [{"address": "0"}], popen=popen)
    if "sleep" in script:
        monkeypatch.setattr(tcpdump, "PATIENCE", 0.2)
        monkeypatch.setattr(tcpdump, "_REAPED", 0.1)
    with pytest.raises(TestbedError) as caught:
        tcpdump.Capture(inside, "lo", tmp_path / "it").stop()
    assert str(caught.value) == f"tcpdump at lo of here {why}"


@pytest.mark.emulation
def test_a_tcpdump_that_is_refused_is_quoted(tmp_path, monkeypatch):
    need_sandbox()
    fake = tmp_path / "tcpdump"
    fake.write_text("#!/bin/sh\necho tcpdump: not today >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert why_no_captures().startswith(
        "tcpdump at lo of the trial did not begin: tcpdump: not today; "
    )
