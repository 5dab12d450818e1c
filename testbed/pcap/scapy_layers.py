"""Scapy layers for ZMTP 3.1 and for the messages between device and verifier.

They serve `testbed packets RUN --frames`, and `elements_of` in scripts. Scapy also dissects frames
of captures that it loads after the import of this module, if they hold whole elements. The byte
counts of a run come from testbed.pcap.byte_ledger, which is much faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
from rich.table import Table
from scapy.fields import (
    ByteField,
    ConditionalField,
    FieldLenField,
    FlagsField,
    LongField,
    StrField,
    StrFixedLenField,
    StrLenField,
    XIntField,
)
from scapy.layers.inet import TCP
from scapy.packet import Packet, Raw, bind_layers
from typing_extensions import override

from testbed.pcap.byte_ledger import SentFrames
from testbed.pcap.zmtp import COMMAND, GREETING, LONG, MORE, frame_at
from testbed.protocol.messages import CHECKSUM_SIZE, PORT, Message, decode_header


class Zmtp(Packet):
    """One element of a ZMTP stream: a greeting or a frame. https://rfc.zeromq.org/spec/37."""

    name = "ZMTP"

    @classmethod
    def dispatch_hook(cls, data: bytes | None = None, **_: Any) -> type[Packet]:
        """Choose the class of an element: only a greeting begins with 0xFF."""
        return ZmtpGreeting if data and data[0] == 0xFF else ZmtpFrame


class ZmtpGreeting(Zmtp):
    """The greeting that each side sends first."""

    name = "ZMTP greeting"
    fields_desc: ClassVar[list[Any]] = [
        StrFixedLenField("signature", b"\xff" + 8 * b"\0" + b"\x7f", 10),
        ByteField("major", 3),
        ByteField("minor", 1),
        StrFixedLenField("mechanism", b"NULL", 20),
        ByteField("as_server", 0),
        StrFixedLenField("filler", b"", 31),
    ]

    @override
    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        # whatever follows is another element
        return b"", s

    @override
    def mysummary(self) -> str:
        return f"ZMTP {self.major}.{self.minor}"


class ZmtpFrame(Zmtp):
    """A command, or a part of a message."""

    name = "ZMTP frame"
    fields_desc: ClassVar[list[Any]] = [
        FlagsField("flags", 0, 8, ["more", "long", "command"]),
        ConditionalField(ByteField("size", 0), lambda frame: not int(frame.flags) & LONG),
        ConditionalField(LongField("long_size", 0), lambda frame: bool(int(frame.flags) & LONG)),
    ]

    @override
    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        size = self.long_size if int(self.flags) & LONG else self.size
        return s[:size], s[size:]

    @override
    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        # the testbed's messages are a header frame and a payload frame
        flags = int(self.flags)
        return ZmtpCommand if flags & COMMAND else MessageHeader if flags & MORE else Payload


class ZmtpCommand(Packet):
    """A command such as READY or PING."""

    name = "ZMTP command"
    fields_desc: ClassVar[list[Any]] = [
        FieldLenField("length", None, length_of="title", fmt="B"),
        StrLenField("title", b"", length_from=lambda command: command.length),
        StrField("data", b""),
    ]

    @override
    def mysummary(self) -> str:
        return str(self.title.decode("ascii", "replace"))


class MessageHeader(Packet):
    """The header frame of a message of testbed.protocol.messages."""

    name = "message"
    fields_desc: ClassVar[list[Any]] = [
        StrLenField("packed", b"", length_from=lambda header: len(header.original) - CHECKSUM_SIZE),
        XIntField("checksum", 0),
    ]

    @property
    def message(self) -> Message:
        """The decoded message; msgspec.MsgspecError for other bytes."""
        return decode_header(self.packed)

    @override
    def mysummary(self) -> str:
        try:
            return repr(self.message)
        except msgspec.MsgspecError:
            return "not a message of the testbed"


class Payload(Raw):
    """The payload frame of a message of testbed.protocol.messages."""

    name = "payload"

    @override
    def mysummary(self) -> str:
        return f"payload of {len(self.load)} B"


for _end in ("sport", "dport"):
    bind_layers(TCP, Zmtp, **{_end: PORT})


def elements_of(frames: SentFrames) -> Iterator[tuple[int, Packet]]:
    """Yield the elements that one direction of a link carried: greetings, commands and frames.

    Each comes with the time, in ns, at which the frame was sent that first carried its last byte.
    """
    # Scapy's TCPSession loses its place where several elements end in one segment.
    for flow in frames.flows:
        stream = frames.streams[flow].data
        begin, end = 0, GREETING
        while end <= len(stream):
            data = bytes(stream[begin:end])
            if (sent := frames.first_sent(flow, end - 1)) is not None:
                yield sent, Zmtp.dispatch_hook(data)(data)
            frame = frame_at(stream, end)
            if frame is None:
                break
            begin, end = end, frame[2]


def elements_table(up: SentFrames, down: SentFrames) -> Table:
    """Return a table of the elements of both directions: time, direction and summary."""
    table = Table("s", "", "what", box=None, pad_edge=False)
    every = [(t, direction, element) for direction, frames in (("up", up), ("down", down))
             for t, element in elements_of(frames)]  # fmt: skip
    every.sort(key=lambda each: each[0])
    for t, direction, element in every:
        summary = element.lastlayer().mysummary()
        table.add_row(f"{(t - every[0][0]) / 1e9:.6f}", direction, str(summary))
    return table
