"""Capture the frames that an interface of a host sends and receives, with tcpdump."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.emulation.setgroups import ignoring_setgroups
from testbed.errors import TestbedError
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE
from testbed.pcap.capture_index import Captured

_REAPED = 1.0  # seconds to wait for tcpdump to end after its output has ended
_BUFFER = 16 * 1024  # KiB of the kernel's memory for frames that tcpdump has not fetched yet
_FILE, _FILES = 250, 4  # MB per file, and files before the first is overwritten


class _Counts(NamedTuple):
    captured: int
    received: int
    dropped: int


class Capture:
    """A tcpdump at one interface of a host, which captures until `stop`.

    path: of the capture files, to which a number is added. Raises TestbedError when tcpdump does
    not start.
    """

    def __init__(self, inside: Namespace, interface: str, path: Path) -> None:
        self._where = f"tcpdump at {interface} of {inside.name}"
        self._host = inside.name
        self._path = path
        shown = inside.json(["ip", "-j", "link", "show", "dev", interface])
        self._address = str(shown[0]["address"])
        self._process = inside.popen(
            ["nice", "-n", "19", "tcpdump", "-i", interface, "-n", "-s", "0", "-B", str(_BUFFER),
             "--immediate-mode", "--time-stamp-precision=nano", "-Z", "root",
             "-C", str(_FILE), "-W", str(_FILES), "-w", str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=ignoring_setgroups(),
        )  # fmt: skip
        try:
            output = self._read_until(b"listening on", time.monotonic() + PATIENCE)
            if b"listening on" not in output:
                raise TestbedError(f"{self._where} did not begin: {self._last_words(output)}")
        except BaseException:
            self.kill()
            raise
        self._ahead = time.time_ns() - time.monotonic_ns()

    def stop(self) -> Captured:
        """End the capture; raise TestbedError if frames are missing or were overwritten."""
        self._let_it_finish()
        self._process.send_signal(signal.SIGINT)
        try:
            _, output = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TestbedError(f"{self._where} did not end") from None
        counts = _counts(output)
        if self._process.returncode or counts is None:
            raise TestbedError(f"{self._where} failed: {self._last_words(output)}")
        if missed := counts.received - counts.captured + counts.dropped:
            raise TestbedError(f"{self._where} missed {missed} of {counts.received} frames")
        files = sorted(self._path.parent.glob(f"{self._path.name}[0-9]"))
        if len(files) == _FILES:
            raise TestbedError(
                f"{self._where}: there was more to record than {_FILE * (_FILES - 1)} MB"
            )
        for number, file in enumerate(files):
            files[number] = file.rename(self._path.with_suffix(f".{number}.pcap"))
        return Captured(
            host=self._host,
            files=[file.name for file in files],
            address=self._address,
            ahead=self._ahead,
            dilation=clock.dilation(),
        )

    def kill(self) -> None:
        """Kill tcpdump without a result; killing twice is allowed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def _last_words(self, output: bytes) -> str:
        """Return tcpdump's output in one line; if it printed nothing, how it ended."""
        if text := " ".join(output.decode(errors="replace").split()):
            return text
        how = await_end(self._process, _REAPED)
        alive = self._process.returncode is None
        return f"it said nothing for {PATIENCE:g} s" if alive else how

    def _let_it_finish(self) -> None:
        """Wait until tcpdump has fetched all frames, as those in the kernel are lost at its end."""
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < deadline:
            self._process.send_signal(signal.SIGUSR1)  # asks for its counts
            counts = _counts(self._read_until(b"dropped by kernel", deadline))
            if counts is None or counts.captured == counts.received:
                return

    def _read_until(self, mark: bytes, deadline: float) -> bytes:
        """Return tcpdump's output up to and with `mark`; less if it ends or the deadline passes."""
        assert self._process.stderr is not None
        output = b""
        while mark not in output:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._process.stderr], [], [], left)
            more = os.read(self._process.stderr.fileno(), 4096) if ready else b""
            if not more:
                break
            output += more
        return output


def _counts(output: bytes) -> _Counts | None:
    """Return the counts in tcpdump's output; None if it has none."""
    found = [re.search(rf"(\d+) packets? {name}", output.decode()) for name in _Counts._fields]
    return None if None in found else _Counts(*(int(each[1]) for each in found if each))
