"""A TCP segment as counts, and the size of the Ethernet frame that carries it."""

from __future__ import annotations

Block = tuple[int, int]
"""The first sequence number of a range of bytes, and the one after its last."""

_HEADERS = 14 + 20 + 20  # Ethernet, IPv4, TCP
_TIMESTAMPS = 12  # RFC 7323: two NOPs, kind, length, two values
_SYN_OPTIONS = 4 + 12 + 4  # MSS; SACK permitted and timestamps; NOP and window scale
_SACK_HEADER, _SACK_BLOCK = 4, 8  # RFC 2018: two NOPs, kind, length; then each block

OPTIONS = _TIMESTAMPS
"""Bytes of options in every data segment without SACK blocks."""


class Segment:
    """A segment with `length` bytes from `sequence` on.

    Sequence numbers are integers that never wrap; a SYN has number 0, data begins at 1.
    acknowledgement: the next byte expected, 0 in a first SYN.
    window: the bytes from `acknowledgement` on that the sender of this segment would take.
    blocks: SACK blocks, a D-SACK first (RFC 2018, RFC 2883).
    timestamp, echo: the two values of RFC 7323, in milliseconds.
    sent: when this copy was sent, in seconds; whoever carries it says so.
    """

    __slots__ = (
        "acknowledgement",
        "blocks",
        "echo",
        "length",
        "push",
        "sent",
        "sequence",
        "syn",
        "timestamp",
        "window",
    )

    def __init__(
        self,
        sequence: int,
        length: int,
        acknowledgement: int,
        window: int,
        blocks: tuple[Block, ...],
        *,
        timestamp: int,
        echo: int,
        syn: bool = False,
        push: bool = False,
    ) -> None:
        self.sequence = sequence
        self.length = length
        self.acknowledgement = acknowledgement
        self.window = window
        self.blocks = blocks
        self.timestamp = timestamp
        self.echo = echo
        self.syn = syn
        self.push = push
        self.sent = 0.0

    @property
    def frame_size(self) -> int:
        """The bytes of the whole Ethernet frame, without its checksum."""
        if self.syn:
            return _HEADERS + _SYN_OPTIONS
        size = _HEADERS + _TIMESTAMPS + self.length
        return size + blocks_size(self.blocks) if self.blocks else size


def blocks_size(blocks: tuple[Block, ...]) -> int:
    """Return the bytes of the option that carries SACK blocks, one at least."""
    return _SACK_HEADER + _SACK_BLOCK * len(blocks)
