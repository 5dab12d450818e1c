"""A node process as the runner uses it: commands in, reports out, its death an error."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from testbed.errors import TestbedError
from testbed.host.machine_errors import sentence
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE
from testbed.protocol.control import Command, Ending, Failed, NodeReport

T = TypeVar("T")


class NodeProcess:
    """One of the programs of `nodes`, started by `popen` with its stderr in a log file."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        log: Path,
        popen: Callable[..., subprocess.Popen[Any]],
    ) -> None:
        """`popen` takes argv and the keywords of subprocess.Popen."""
        self.name = name
        self._log = log
        with log.open("wb") as stderr:
            self._process = popen(
                [sys.executable, "-m", module, "--control", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
            )
        self._decoder: msgspec.json.Decoder[NodeReport] = msgspec.json.Decoder(NodeReport)
        self._pending = b""
        self._last_words = ""

    @property
    def pid(self) -> int:
        """The process id of the node."""
        return int(self._process.pid)

    def send(self, command: Command) -> None:
        """Send a command. Raises TestbedError when the node is dead."""
        try:
            self._process.stdin.write(msgspec.json.encode(command) + b"\n")  # type: ignore[union-attr]
        except BrokenPipeError:
            self._died()

    def receive(self, timeout: float, watch: Callable[[], None] = lambda: None) -> NodeReport:
        """Return the next report, as receive_any does."""
        return receive_any([self], timeout, watch)[1]

    def fileno(self) -> int:
        """Return the file descriptor to poll for reports."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def take(self) -> NodeReport | None:
        """Return a report that has arrived whole; None, at once, if there is none."""
        if b"\n" not in self._pending:
            return None
        line, self._pending = self._pending.split(b"\n", 1)
        report = self._decoder.decode(line)
        if isinstance(report, Ending):  # reported when the process has ended
            self._last_words = report.reason
            return None
        return report

    def read(self) -> None:
        """Read what there is to be read. Raises TestbedError when the node is dead."""
        chunk = os.read(self.fileno(), 1 << 16)
        if not chunk:
            self._died()
        self._pending += chunk

    def silence(self, timeout: float) -> TestbedError:
        """Return the error for a node that sent no report for `timeout` seconds."""
        return TestbedError(f"{self.name}: no report within {timeout:g} s; see {self._log}")

    def check(self) -> None:
        """Raise TestbedError when the node is dead."""
        if self._process.poll() is not None:
            self._died()

    def stop(self, grace: float = 1.0) -> None:
        """End the node: its input ends, and it is killed when that does not help."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _died(self) -> None:
        how = await_end(self._process, PATIENCE)
        while select.select([self], [], [], 0)[0] and (chunk := os.read(self.fileno(), 1 << 16)):
            self._pending += chunk
        while b"\n" in self._pending:
            self.take()
        last = self._last_words or self._last_line() or "it said nothing"
        what = "closed its output" if self._process.returncode is None else "died"
        raise TestbedError(f"node {self.name} {what} ({how}): {last}; see {self._log}")

    def _last_line(self) -> str:
        """Return the last line of its log; empty if it has none."""
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError as error:
            return sentence(error)
        return lines[-1].removeprefix("error: ") if lines else ""


def receive_any(
    nodes: Collection[NodeProcess], timeout: float, watch: Callable[[], None] = lambda: None
) -> tuple[NodeProcess, NodeReport]:
    """Return the next report of any of some nodes, and the node.

    Raises TestbedError when one of them dies or none says anything for `timeout` s. `watch` is
    called a few times a second meanwhile and may raise.
    """
    deadline = time.monotonic() + timeout
    while True:
        for node in nodes:
            if (report := node.take()) is not None:
                return node, report
        ready = select.select(nodes, [], [], 0.2)[0]
        for node in ready:
            node.read()
        if not ready and time.monotonic() > deadline:
            raise next(iter(nodes)).silence(timeout)
        if not ready:
            watch()


def checked(node: NodeProcess, report: NodeReport, kind: type[T]) -> T:
    """Return a report of this kind; raise TestbedError with its reason if it is a failure."""
    if isinstance(report, Failed):
        raise TestbedError(f"{node.name}: {report.reason}")
    if not isinstance(report, kind):
        raise TestbedError(f"{node.name} reported {report} instead of {kind.__name__}")
    return report
