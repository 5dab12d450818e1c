"""Run a command in network, mount and process namespaces of its own.

Nothing that the command builds outlives it. The process outside supervises: when it ends, even by
`kill -9`, the kernel kills the first process of the process namespace and with it every process
inside; interfaces and mounts vanish with the last process. Without root, all this happens in a user
namespace.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from testbed.emulation.namespace_advice import namespace_advice
from testbed.errors import TestbedError
from testbed.host import realtime
from testbed.host.children import run_side_by_side
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.process_endings import how_ended
from testbed.output.terminal import complain

PATIENCE = 10.0  # seconds that a sandbox may be stopped before a warning is printed

PROGRAMS = {
    "unshare": "util-linux",
    "mnexec": "mininet",
    "ip": "iproute2",
    "tc": "iproute2",
    "ethtool": "ethtool",
    "ping": "iputils-ping",
    "ifconfig": "net-tools",
    "sysctl": "procps",
    "mount": "mount",
}
"""The programs that every run needs, and the Debian packages they are in."""

SCRATCH = Path(__file__).with_name("scratch")
"""The mount point of a sandbox's temporary files: an empty folder, so the mount hides no files."""

_PR_SET_PDEATHSIG = 1
_CAP_SYS_ADMIN = 21
_LIBC = ctypes.CDLL(None, use_errno=True)


def namespace_command() -> list[str]:
    """Return the `unshare` command for a new network namespace, in a user namespace if need be."""
    through = [] if may_unshare() else ["--user", "--map-root-user"]
    return ["unshare", *through, "--net"]


def may_unshare() -> bool:
    """Return True with CAP_SYS_ADMIN; without it, namespaces need a user namespace."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> _CAP_SYS_ADMIN & 1)
    return False


def find_program(name: str) -> str | None:
    """Return the path of a program, looked for on PATH and in the sbin folders; None if missing.

    Adds the sbin folders to this process's PATH: Debian leaves them out of the PATH of ordinary
    users, and commands in a sandbox must find the same programs.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path += [folder for folder in ("/usr/sbin", "/sbin") if folder not in path]
    os.environ["PATH"] = os.pathsep.join(path)
    return shutil.which(name)


def check_sandbox() -> None:
    """Raise TestbedError if a program is missing or namespaces are not permitted here.

    Adds the sbin folders to PATH, as `find_program` does.
    """
    for program, package in PROGRAMS.items():
        if find_program(program) is None:
            raise TestbedError(f"`{program}` is missing; install it with `apt install {package}`")
    check_namespaces()


def check_namespaces() -> None:
    """Raise TestbedError with the remedy if namespaces are not permitted here."""
    try:
        try_in_sandbox([sys.executable, "-m", __name__], "a sandbox", realtime.PATIENCE)
    except TrialError as error:
        raise TestbedError(
            f"namespaces are not permitted here ({error}); {namespace_advice(error.stderr)}"
        ) from None


class TrialError(TestbedError):
    """A trial in a sandbox failed; the message is the reason in one sentence."""

    def __init__(self, reason: str, stderr: str = "") -> None:
        super().__init__(reason)
        self.stderr = stderr
        """Everything that the trial wrote to stderr."""


def try_in_sandbox(argv: Sequence[str], what: str, seconds: float) -> str:
    """Run `argv`, a trial of `what`, to its end in a sandbox; return its stdout.

    Raises TrialError when it fails, with the last line of its stderr or else with how it ended; and
    when it takes longer than `seconds`, after which it is killed. Call from the main thread.
    """
    try:
        done = subprocess.run(
            [*_sandbox_command(), *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            preexec_fn=_die_with(os.getpid()),  # one system call, no lock
        )
    except subprocess.TimeoutExpired:
        raise TrialError(f"a trial of {what} did not end within {seconds:g} s") from None
    if done.returncode != 0:
        stderr = done.stderr.strip()
        last = stderr.rpartition("\n")[2]
        raise TrialError(last or f"a trial of {what} failed: {how_ended(done.returncode)}", stderr)
    return done.stdout


def run_in_sandbox(argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run `argv` in a sandbox and return its exit code, as `run_in_sandboxes` does for several."""
    return run_in_sandboxes([argv], env)[0]


def run_in_sandboxes(
    commands: Sequence[Sequence[str]],
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
) -> list[int]:
    """Run commands side by side, each in a sandbox of its own; return their exit codes.

    Each command must call `enter` first. Signals and exit codes are those of
    testbed.host.children.run_side_by_side. A sandbox stopped by SIGSTOP is waited for, with a
    warning. Call from the main thread.
    """

    def start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*_sandbox_command(), *argv],
            env=env,
            stdin=stdin,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509  # one system call, no lock
        )

    return run_side_by_side([partial(start, argv) for argv in commands], _watched)


@contextlib.contextmanager
def _watched(children: Iterable[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Warn once when `unshare` or the first process of a sandbox has been stopped by SIGSTOP.

    The first process notices all other stopped processes; only its own stop and `unshare`'s must be
    watched from outside.
    """
    ended = threading.Event()

    def watch() -> None:
        before: set[int] = set()
        while not ended.wait(PATIENCE):
            still = set(_stopped(children))
            if lasting := sorted(before & still):
                numbers = " ".join(map(str, lasting))
                complain(
                    f"warning: a sandbox has been stopped for {PATIENCE:g} s; it goes on after "
                    f"`kill -CONT {numbers}`"
                )
                return
            before = still

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _stopped(children: Iterable[subprocess.Popen[bytes]]) -> Iterator[int]:
    """Yield the id of each `unshare`, and of each first process inside, that is stopped."""
    for child in children:
        with contextlib.suppress(OSError):  # it has ended, or this kernel does not list children
            first = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            for number in (child.pid, *map(int, first)):
                state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
                if state == "T":
                    yield number


def enter() -> None:
    """Prepare the inside of a sandbox: its own /sys, loopback up, SIGTERM as KeyboardInterrupt.

    Temporary files of this process and its children go to a tmpfs that ends with the sandbox.

    A command in a sandbox calls it before anything else. Raises TestbedError outside a sandbox.
    """
    if os.getpid() != 1:
        raise TestbedError("this process is not in a sandbox; start it with run_in_sandbox")
    # The first process of a process namespace ignores signals it has no handler for.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    note = SCRATCH / "README"
    text = note.read_text()
    for argv in (
        ["mount", "-t", "sysfs", "sysfs", "/sys"],
        ["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", str(SCRATCH)],
        ["ip", "link", "set", "lo", "up"],
    ):
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            stderr = result.stderr.strip().partition("\n")[0]
            raise TestbedError(f"`{' '.join(argv)}` failed in the sandbox: {stderr}")
    note.write_text(text)  # the mount hid it; without it git would see a changed checkout
    os.environ["TMPDIR"] = tempfile.tempdir = str(SCRATCH)


def _sandbox_command() -> list[str]:
    isolation = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    return [*namespace_command(), *isolation, "--mount-proc", "--"]


def _die_with(supervisor: int) -> Callable[[], None]:
    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # it died before prctl took effect
            os._exit(1)

    return prepare


if __name__ == "__main__":
    try:
        enter()
    except REPORTABLE as error:
        sys.exit(sentence(error))
