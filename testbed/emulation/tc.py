"""A `tc -batch` process that stays open, which saves the 4 ms that starting `tc` takes."""

import json
import os
import select
import signal
import subprocess
import threading
import time
from typing import Any

from testbed.errors import TestbedError
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE

COMMAND = ["tc", "-force", "-s", "-j", "-batch", "-"]
"""`tc` that reads commands from stdin, goes on after one that fails, and prints JSON."""

_LOOK = 0.1  # seconds between two checks that the process lives


class SilentError(TestbedError):
    """A process that is still running did not answer in time."""


class Tc:
    """Sends commands to a process that runs COMMAND with stderr joined to stdout.

    where: the link or host it works for, as error messages name it.
    """

    program = "tc"

    def __init__(self, process: "subprocess.Popen[bytes]", where: str) -> None:
        self.process = process
        self._where = where
        self._lock = threading.Lock()
        self._pending = b""

    def run(self, *commands: str) -> list[Any]:
        """Run commands; return the decoded JSON of each `show` among them, in their order.

        The last command must be a `show`: its answer marks the end of all. Raises TestbedError with
        tc's messages when a command fails, and when tc does not answer.
        """
        shows = sum(" show " in f" {command} " for command in commands)
        if commands and " show " not in f" {commands[-1]} ":
            raise ValueError("the last command must be a show: its answer marks the end of all")
        with self._lock:
            self._send("".join(f"{command}\n" for command in commands))
            answers: list[Any] = []
            errors: list[str] = []
            while len(answers) < shows:
                line = self.line()
                if line.startswith("["):
                    answers.append(json.loads(line))
                elif line.strip():
                    errors.append(line.strip())
        if errors:
            reasons = "; ".join(error for error in errors if not error.startswith("Command failed"))
            sent = "; ".join(command for command in commands if " show " not in f" {command} ")
            raise TestbedError(f"{self._where}: {self.program} refused `{sent}`: {reasons}")
        return answers

    def line(self) -> str:
        """Return the next line that the process prints.

        Raises TestbedError when it ends before, SilentError after `PATIENCE` seconds.
        """
        deadline = time.monotonic() + PATIENCE
        assert self.process.stdout is not None
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self.process.stdout], [], [], _LOOK)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            self._pending += data
            # Processes that a dead guest left behind may keep the pipe open.
            if not data and (ready or self.process.poll() is not None):
                raise self._death()
            if not data and time.monotonic() > deadline:
                raise SilentError(
                    f"{self._where}: {self.program} has not answered for {PATIENCE:g} s"
                )
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")

    def kill(self) -> None:
        """Kill the process and its group (a guest has many processes); may be called twice."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, text: str) -> None:
        assert self.process.stdin is not None
        try:
            os.write(self.process.stdin.fileno(), text.encode())
        except OSError as error:
            raise self._death() from error

    def _death(self) -> TestbedError:
        how = await_end(self.process, _LOOK)
        return TestbedError(f"{self._where}: the process that runs {self.program} died ({how})")
