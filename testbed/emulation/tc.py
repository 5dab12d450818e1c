"""A `tc` that stays: commands in, settings out, without the 4 ms that starting one takes."""

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
"""Reads commands from stdin; goes on after one that fails, and answers with JSON."""

_LOOK = 0.1  # seconds between two looks at whether the process lives


class SilentError(TestbedError):
    """No answer came in time, from a process that lives."""


class Tc:
    """Talks to a process that runs COMMAND with its errors among its output.

    where: the link it is for, in messages.
    """

    program = "tc"

    def __init__(self, process: "subprocess.Popen[bytes]", where: str) -> None:
        self.process = process
        self._where = where
        self._lock = threading.Lock()
        self._pending = b""

    def run(self, *commands: str) -> list[Any]:
        """Run commands; what each `show` among them printed, parsed.

        Raises TestbedError with what tc said when one of them fails, or tc does not answer.
        """
        shows = sum(" show " in f" {command} " for command in commands)
        if commands and " show " not in f" {commands[-1]} ":
            raise ValueError("the last command must be a show, for it tells that all are done")
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
            said = "; ".join(error for error in errors if not error.startswith("Command failed"))
            asked = "; ".join(command for command in commands if " show " not in f" {command} ")
            raise TestbedError(f"{self._where}: {self.program} refused `{asked}`: {said}")
        return answers

    def line(self) -> str:
        """The next line that the process prints.

        Raises TestbedError when it ends before, SilentError after `PATIENCE` seconds.
        """
        deadline = time.monotonic() + PATIENCE
        assert self.process.stdout is not None
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self.process.stdout], [], [], _LOOK)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            self._pending += data
            # What a dead guest started may keep the pipe open.
            if not data and (ready or self.process.poll() is not None):
                raise self._death()
            if not data and time.monotonic() > deadline:
                raise SilentError(
                    f"{self._where}: {self.program} has not answered for {PATIENCE:g} s"
                )
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")

    def kill(self) -> None:
        """End the process and its group (a guest has many processes); may be called twice."""
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
