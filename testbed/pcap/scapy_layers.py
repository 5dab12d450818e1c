"""Scapy's layers for ZMTP 3.1 and for what device and verifier say to each other.

For looking at captures: `testbed packets RUN --frames`, or `elements_of` for what Scapy makes of
them. Frames of a capture that was loaded with this module imported are dissected, too, as far as
they hold whole elements. A run's books are kept by testbed.pcap.byte_ledger, which is much faster.
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

from testbed.pcap.byte_ledger import Book
from testbed.pcap.zmtp import COMMAND, GREETING, LONG, MORE, frame_at
from testbed.protocol.messages import CHECKSUM_SIZE, PORT, Message, decode_header


class Zmtp(Packet):
    """One element of a ZMTP stream: a greeting or a frame. See https://rfc.zeromq.org/spec/37."""

    name = "ZMTP"

    @classmethod
    def dispatch_hook(cls, data: bytes | None = None, **_: Any) -> type[Packet]:
        """Nothing else than a greeting begins with 0xFF: a frame has no such flags."""
        return ZmtpGreeting if data and data[0] == 0xFF else ZmtpFrame


class ZmtpGreeting(Zmtp):
    """What either side begins with."""

    name = "ZMTP greeting"
    fields_desc: ClassVar[list[Any]] = [
        StrFixedLenField("signature", b"\xff" + 8 * b"\0" + b"\x7f", 10),
        ByteField("major", 3),
        ByteField("minor", 1),
        StrFixedLenField("mechanism", b"NULL", 20),
        ByteField("as_server", 0),
        StrFixedLenField("filler", b"", 31),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Whatever follows is another element."""
        return b"", s

    def mysummary(self) -> str:
        """Its version."""
        return f"ZMTP {self.major}.{self.minor}"


class ZmtpFrame(Zmtp):
    """A command, or a part of a message."""

    name = "ZMTP frame"
    fields_desc: ClassVar[list[Any]] = [
        FlagsField("flags", 0, 8, ["more", "long", "command"]),
        ConditionalField(ByteField("size", 0), lambda frame: not int(frame.flags) & LONG),
        ConditionalField(LongField("long_size", 0), lambda frame: bool(int(frame.flags) & LONG)),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """The body, and other elements."""
        size = self.long_size if int(self.flags) & LONG else self.size
        return s[:size], s[size:]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Our messages have a header frame and a payload frame."""
        flags = int(self.flags)
        return ZmtpCommand if flags & COMMAND else MessageHeader if flags & MORE else Payload


class ZmtpCommand(Packet):
    """READY, PING and so on."""

    name = "ZMTP command"
    fields_desc: ClassVar[list[Any]] = [
        FieldLenField("length", None, length_of="title", fmt="B"),
        StrLenField("title", b"", length_from=lambda command: command.length),
        StrField("data", b""),
    ]

    def mysummary(self) -> str:
        """Its name."""
        return str(self.title.decode("ascii", "replace"))


class MessageHeader(Packet):
    """The header frame of one of our messages, see testbed.protocol.messages."""

    name = "message"
    fields_desc: ClassVar[list[Any]] = [
        StrLenField("packed", b"", length_from=lambda header: len(header.original) - CHECKSUM_SIZE),
        XIntField("checksum", 0),
    ]

    @property
    def message(self) -> Message:
        """What it says. Raises msgspec.MsgspecError when it is none of ours."""
        return decode_header(self.packed)

    def mysummary(self) -> str:
        """Its type and fields."""
        try:
            return repr(self.message)
        except msgspec.MsgspecError:
            return "not one of ours"


class Payload(Raw):
    """The payload frame of one of our messages."""

    name = "payload"

    def mysummary(self) -> str:
        """Its size."""
        return f"payload of {len(self.load)} B"


for _end in ("sport", "dport"):
    bind_layers(TCP, Zmtp, **{_end: PORT})


def elements_of(book: Book) -> Iterator[tuple[int, Packet]]:
    """All elements that went over a link in one direction: greetings, commands, and frames.

    With each, when the frame was sent that first carried its last byte, in ns.
    """
    # Scapy's TCPSession loses its place where several elements end in one segment.
    for flow in book.flows:
        stream = book.streams[flow].data
        begin, end = 0, GREETING
        while end <= len(stream):
            data = bytes(stream[begin:end])
            if (sent := book.first_sent(flow, end - 1)) is not None:
                yield sent, Zmtp.dispatch_hook(data)(data)
            frame = frame_at(stream, end)
            if frame is None:
                break
            begin, end = end, frame[2]


def elements_table(up: Book, down: Book) -> Table:
    """When each element was sent, which way, and what it is."""
    table = Table("s", "", "what", box=None, pad_edge=False)
    every = [(t, direction, element) for direction, book in (("up", up), ("down", down))
             for t, element in elements_of(book)]  # fmt: skip
    every.sort(key=lambda each: each[0])
    for t, direction, element in every:
        summary = element.lastlayer().mysummary()
        table.add_row(f"{(t - every[0][0]) / 1e9:.6f}", direction, str(summary))
    return table
