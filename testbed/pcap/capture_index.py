"""The captures of a run: which there are, and what is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from testbed.bounds import Int64
from testbed.clock import LARGEST_DILATION
from testbed.errors import TestbedError
from testbed.files.stored_json import read
from testbed.pcap.byte_ledger import Book
from testbed.pcap.frames import Frame, read_frames
from testbed.pcap.tcp_streams import streams

NAME = "captures.json"


class Captured(msgspec.Struct, kw_only=True):
    """What was recorded at one end of a link."""

    host: str
    files: list[str]
    """Beside captures.json, in their order."""
    address: str
    """The interface's Ethernet address: frames that come from it were sent here."""
    ahead: Int64
    """By how many ns the stamps are ahead of CLOCK_MONOTONIC."""
    dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)]

    def frames(self, folder: Path, source: str) -> list[Frame]:
        """The frames that come from an interface, timed by testbed.clock."""
        return [
            frame
            for file in self.files
            for frame in read_frames(folder / file, ahead=self.ahead, dilation=self.dilation)
            if frame.source == source
        ]


class CapturePair(NamedTuple):
    """What was recorded at both ends of a link, its first host's first."""

    first: Captured
    second: Captured


def write_captures(folder: Path, captures: dict[str, CapturePair]) -> None:
    """Keep in a run's folder what is needed to read its captures, by link."""
    (folder / NAME).write_bytes(msgspec.json.encode(captures))


def read_captures(folder: Path) -> dict[str, CapturePair]:
    """Raises TestbedError when there are none."""
    captures = read(folder / NAME, dict[str, CapturePair])
    if not captures:
        raise TestbedError(f"{folder / NAME}: no link was captured")
    return captures


def books(folder: Path, captures: Mapping[str, CapturePair]) -> dict[str, tuple[Book, Book]]:
    """What was sent up and down each link. Raises TestbedError when a capture is not whole."""
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
            Book(frames[link, pair.first.host], known),
            Book(frames[link, pair.second.host], known),
        )
        for link, pair in captures.items()
    }
