"""Control of node processes: the runner's commands and the nodes' reports, one JSON line each.

Commands arrive on the node's stdin, reports leave on its stdout.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import ClassVar

import msgspec

from testbed.counts import DraftCounts, Traffic
from testbed.protocol.request import DecodeRequest


class Begin(msgspec.Struct, tag=True):
    """To a node: a run starts; write its events to the file `trace`.

    A device closes its old connection, and with `connect` opens a new one.
    """

    trace: str
    connect: bool


class Decode(msgspec.Struct, tag=True):
    """To the device: decode one prompt."""

    task: DecodeRequest
    prompt: list[int]
    """Token ids of the prompt."""


Command = Begin | Decode


class Ready(msgspec.Struct, tag=True):
    """From a node: the model is loaded, and `Begin` has been carried out."""


class Progress(msgspec.Struct, tag=True):
    """From the device: `tokens` new tokens are committed, `seconds` after the start."""

    tokens: int
    seconds: float


class Result(msgspec.Struct, tag=True):
    """From the device: the generation is complete, with the fields of device_loop.Decoded."""

    tokens: list[int]
    text: str
    times: list[float]
    start: float
    counts: DraftCounts
    traffic: Traffic


class Failed(msgspec.Struct, tag=True):
    """From a node: a command failed; `reason` is one sentence."""

    reason: str


class Ending(msgspec.Struct, tag=True):
    """From a node: its process ends; `reason` is one sentence.

    It is sent because the disk may be too full for the node's log.
    """

    reason: str


NodeReport = Ready | Progress | Result | Failed | Ending


class NodeEnd:
    """The node's end of the control connection.

    Creating it redirects all other output to stdout, also of libraries, to stderr.
    """

    _open: ClassVar[NodeEnd | None] = None

    def __init__(self) -> None:
        NodeEnd._open = self
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
        self._pending = b""

    def fileno(self) -> int:
        """Return the file descriptor to poll for commands."""
        return sys.stdin.fileno()

    def receive(self) -> Command | None:
        """Return the next command, waiting for it; None when the runner has closed stdin."""
        while b"\n" not in self._pending:
            # os.read, not sys.stdin: a buffer would hide commands from whoever polls.
            chunk = os.read(self.fileno(), 1 << 16)
            if not chunk:
                return None
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return self._decoder.decode(line)

    def send(self, report: NodeReport) -> None:
        """Send a report to the runner."""
        self._out.write(msgspec.json.encode(report) + b"\n")

    @classmethod
    def last_words(cls, reason: str) -> None:
        """Report the reason why this process ends, from any place in it."""
        with suppress(OSError):  # the runner is gone
            (cls._open or cls()).send(Ending(reason))
