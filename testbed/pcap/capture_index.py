"""captures.json: the capture files of a run, and what is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from testbed.bounds import Int64
from testbed.clock import LARGEST_DILATION
from testbed.errors import TestbedError
from testbed.files.stored_json import read
from testbed.pcap.byte_ledger import SentFrames
from testbed.pcap.frames import Frame, read_frames
from testbed.pcap.tcp_streams import streams

NAME = "captures.json"


class Captured(msgspec.Struct, kw_only=True):
    """The capture at one end of a link."""

    host: str
    files: list[str]
    """Names of its files in the folder of captures.json, in order of time."""
    address: str
    """The interface's Ethernet address; frames with this source were sent here."""
    ahead: Int64
    """The time stamps minus CLOCK_MONOTONIC, in ns."""
    dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)]

    def frames(self, folder: Path, source: str) -> list[Frame]:
        """Return the frames from Ethernet address `source`, with times of testbed.clock in ns."""
        return [
            frame
            for file in self.files
            for frame in read_frames(folder / file, ahead=self.ahead, dilation=self.dilation)
            if frame.source == source
        ]


class CapturePair(NamedTuple):
    """The captures at the first and the second host of a link."""

    first: Captured
    second: Captured


def write_captures(folder: Path, captures: dict[str, CapturePair]) -> None:
    """Write captures.json into a run's folder; captures: by link."""
    (folder / NAME).write_bytes(msgspec.json.encode(captures))


def read_captures(folder: Path) -> dict[str, CapturePair]:
    """Read the captures of a run by link; raise TestbedError when there are none."""
    if not (folder / NAME).exists():
        raise TestbedError(
            f"{folder}: it has no {NAME}: it is not the folder of a run, as RESULTS/runs/RUN is, "
            "or the run was simulated, without frames"
        )
    captures = read(folder / NAME, dict[str, CapturePair])
    if not captures:
        raise TestbedError(f"{folder / NAME}: no link was captured")
    return captures


def sent_frames(
    folder: Path, captures: Mapping[str, CapturePair]
) -> dict[str, tuple[SentFrames, SentFrames]]:
    """Return the frames sent up and down each link; raise TestbedError if a capture has a gap."""
    ends = [(link, end) for link, pair in captures.items() for end in pair]
    frames = {(link, end.host): end.frames(folder, end.address) for link, end in ends}
    hosts = [
        sorted(
            (frame for (_, other), some in frames.items() if other == host for frame in some),
            key=lambda frame: frame.t,
        )
        for host in dict.fromkeys(end.host for _, end in ends)
    ]
    known = streams(hosts, str(folder))
    return {
        link: (
            SentFrames(frames[link, pair.first.host], known),
            SentFrames(frames[link, pair.second.host], known),
        )
        for link, pair in captures.items()
    }
