"""How the runner speaks with the node processes it starts: JSON lines over stdin and stdout."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import ClassVar

import msgspec

from testbed.counts import DraftCounts, Traffic
from testbed.protocol.request import DecodeRequest


class Begin(msgspec.Struct, tag=True):
    """To a node: a run starts; write its events to `trace`.

    A device that is to `connect` does so anew, and otherwise lets its old connection go.
    """

    trace: str
    connect: bool


class Decode(msgspec.Struct, tag=True):
    """To the device: decode one text."""

    task: DecodeRequest
    prompt: list[int]
    """Its token ids."""


Command = Begin | Decode


class Ready(msgspec.Struct, tag=True):
    """From a node: the model is loaded, and `Begin` has been followed."""


class Progress(msgspec.Struct, tag=True):
    """From the device: `tokens` new tokens are committed, `seconds` after the start."""

    tokens: int
    seconds: float


class Result(msgspec.Struct, tag=True):
    """From the device: the generation is complete. See testbed.protocol.device_loop.Decoded."""

    tokens: list[int]
    text: str
    times: list[float]
    start: float
    counts: DraftCounts
    traffic: Traffic


class Failed(msgspec.Struct, tag=True):
    """From a node: it could not be done, and why in one sentence."""

    reason: str


class Ending(msgspec.Struct, tag=True):
    """From a node: it ends, and why in one sentence, for which its log may have no space."""

    reason: str


NodeReport = Ready | Progress | Result | Failed | Ending


class NodeEnd:
    """The node's end of the line.

    Whatever else writes to stdout, libraries included, goes to stderr from now on.
    """

    _open: ClassVar[NodeEnd | None] = None

    def __init__(self) -> None:
        NodeEnd._open = self
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        self._decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
        self._pending = b""

    def fileno(self) -> int:
        """What to poll for commands."""
        return sys.stdin.fileno()

    def receive(self) -> Command | None:
        """The next command; None when the runner is gone."""
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
        """Report why this process ends, wherever it was."""
        with suppress(OSError):  # the runner is gone
            (cls._open or cls()).send(Ending(reason))
