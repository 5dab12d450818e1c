"""Run one command under the guest kernel, on the host's own files.

    python -m testbed.emulation.guest_shell MEMORY_MB COMMAND…

It runs in a sandbox, so that no process of the guest outlives the process that waits for it.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from testbed.emulation.guest_kernel import guest_command, require_guest
from testbed.emulation.sandbox import check_namespaces, enter, run_in_sandbox
from testbed.errors import TestbedError
from testbed.exit_codes import OVERDUE
from testbed.host.process_endings import how_ended
from testbed.output.terminal import complain

_INIT = Path(__file__).with_name("guest_shell.sh")
_MOST_MEMORY = 2048  # MB
_LEAST_MEMORY = 256
_NEVER_STARTED = 1


def run_in_guest(argv: list[str], timeout: float | None) -> int:
    """Run `argv` under a kernel with netem; return its exit code, or OVERDUE after the time-out.

    timeout: seconds, or None for no limit.

    Raises TestbedError when the machine has no guest kernel, or not enough free memory for it.
    """
    require_guest()
    check_namespaces()
    command = [sys.executable, "-m", "testbed.emulation.guest_shell", str(_memory()), *argv]
    if timeout is None:
        return run_in_sandbox(command)
    expired = False

    def expire(_number: int, _frame: object) -> None:
        nonlocal expired
        expired = True
        os.kill(os.getpid(), signal.SIGTERM)  # run_in_sandbox passes it on

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        code = run_in_sandbox(command)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return OVERDUE if expired else code


def boot(memory: int, argv: list[str], environment: Mapping[str, str]) -> int:
    """Boot the guest inside a sandbox, run `argv` there, and return its exit code; memory: MB."""
    with tempfile.TemporaryDirectory(prefix="testbed-guest-") as folder:
        kept = (f"{key}={value}" for key, value in environment.items() if key != "FOLDER")
        Path(folder, "command.sh").write_text(
            f"cd {shlex.quote(str(Path.cwd()))} && exec {shlex.join(['env', '-i', *kept, *argv])}\n"
        )
        lines = ["con0=null", "ssl0=null,fd:1", "ssl1=null,fd:2"]  # the console prints too much
        command = guest_command(_INIT, memory, folder, [*lines, f"FOLDER={folder}"])
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            guest.wait()
        finally:
            guest.kill()
        code = Path(folder, "code")
        if not code.exists():
            how = how_ended(guest.returncode)
            complain(f"error: the guest kernel ended before the command did ({how})")
            return _NEVER_STARTED
        return int(code.read_text())


def _memory() -> int:
    """Return the guest's memory in MB: half of what is free, which fits into a sandbox's tmpfs."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    memory = min(_MOST_MEMORY, free // 2)
    if memory < _LEAST_MEMORY:
        raise TestbedError(
            f"the guest kernel needs {2 * _LEAST_MEMORY} MB of free memory; there are {free} MB"
        )
    return memory


if __name__ == "__main__":
    outside = dict(os.environ)  # before enter() sets TMPDIR: the command keeps its caller's
    enter()
    sys.exit(boot(int(sys.argv[1]), sys.argv[2:], outside))
