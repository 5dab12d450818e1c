"""`testbed guest`: a command under a kernel with netem."""

import os
import signal
import subprocess
import sys
import time

import pytest

from testbed.emulation import guest_kernel, guest_shell
from testbed.emulation.guest_kernel import guest_missing
from testbed.errors import TestbedError
from testbed.exit_codes import OVERDUE
from tests.emulation.inside import need_sandbox

pytestmark = pytest.mark.emulation


@pytest.fixture(autouse=True)
def guest():
    need_sandbox()
    if missing := guest_missing():
        pytest.skip(f"no guest kernel: {missing}")


def command(*argv, timeout=60):
    return [sys.executable, "-m", "testbed", "guest", f"--timeout={timeout}", "--", *argv]


def run(*argv, **options):
    return subprocess.run(
        command(*argv, **options), check=False, capture_output=True, text=True, timeout=90
    )


def test_output_errors_and_exit_code_come_through(tmp_path):
    script = "echo out; echo err >&2; pwd; echo $HOME; cat here; tc qdisc add dev lo root netem"
    (tmp_path / "here").write_text("a file of the host\n")
    done = subprocess.run(
        command("sh", "-c", f"cd {tmp_path}; {script} delay 1ms; exit 7"),
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "HOME": "/a home with 'spaces'"},
    )
    assert done.stderr == "err\n"
    assert done.stdout.splitlines() == [
        "out", str(tmp_path), "/a home with 'spaces'", "a file of the host",
    ]  # fmt: skip
    assert done.returncode == 7


def test_long_output_is_whole():
    done = run("seq", "100000")
    assert done.returncode == 0
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 100001))


def guests():
    shown = subprocess.run(
        ["pgrep", "-f", "linux.uml"], capture_output=True, text=True, check=False
    )
    return set(shown.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_however_it_is_ended(number):
    before = guests()
    process = subprocess.Popen(command("sh", "-c", "echo up; sleep 60"), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    assert guests() > before
    process.send_signal(number)
    began = time.monotonic()
    process.wait(60)
    process.stdout.close()
    while guests() > before and time.monotonic() < began + 60:
        time.sleep(0.1)
    assert guests() <= before
    assert process.returncode != 0


def test_the_time_limit_ends_it():
    done = run("sleep", "600", timeout=8)  # longer than a test may take
    assert done.returncode == OVERDUE


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(guest_kernel, "_kernel_missing", lambda: ["linux.uml"])
    with pytest.raises(TestbedError, match=r"needs linux\.uml; install it with `apt install "):
        guest_shell.run_in_guest(["true"], None)
