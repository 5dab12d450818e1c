"""Descriptions of how processes ended, and of the limits that ended them."""

from __future__ import annotations

import subprocess

import pytest

from testbed.host.machine_errors import TOO_LARGE, TOO_LONG, recognise
from testbed.host.process_endings import await_end, how_ended


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "signal SIGKILL"),
        (-40, "signal 40"),  # a real-time signal has no name
        (-25, f"signal SIGXFSZ: {TOO_LARGE}"),
        (-24, f"signal SIGXCPU: {TOO_LONG}"),
    ],
)
def test_an_end_is_described_and_a_limit_named(code, said):
    assert how_ended(code) == said


def test_a_process_that_does_not_end_is_not_waited_for_without_limit():
    process = subprocess.Popen(["sleep", "600"])
    assert await_end(process, 0.1) == "it did not end within 0.1 s"
    process.kill()
    assert await_end(process, 60) == "signal SIGKILL"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("modprobe: ERROR: could not insert 'bridge': Too many open files", "`ulimit -n`"),
        ("libc.so.6: cannot open shared object file: Error 24", "`ulimit -n`"),
        ("gzip: stdout: File too large", "`ulimit -f`"),
        ("mapping 49135616 bytes of memory failed - errno = -12", "`ulimit -v`"),
        ("gzip: stdout: No space left on device", "free some"),
        ("error while loading shared libraries: Error 240", ""),
        ("the exit code was 24", ""),
    ],
)
def test_a_limit_is_recognised_in_the_words_of_others(said, remedy):
    assert recognise(said).endswith(remedy)
    assert bool(recognise(said)) == bool(remedy)
