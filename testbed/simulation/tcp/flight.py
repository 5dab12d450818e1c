"""A segment that was sent and is not acknowledged cumulatively yet."""

from __future__ import annotations


class Flight:
    """One segment of the sender; `end` is the sequence number after its last byte.

    sacked: a SACK block covers it. lost: taken for lost. resent: a retransmission is under way.
    ever_resent: it was retransmitted at least once, so that its round trip is ambiguous.
    order: the number of its last transmission among all of the connection; times may be equal.
    memory: the bytes that it takes of the send buffer.
    delivered: segments that the connection had delivered when this one was sent last.
    """

    __slots__ = (
        "delivered",
        "end",
        "ever_resent",
        "lost",
        "memory",
        "order",
        "push",
        "resent",
        "sacked",
        "sent_at",
        "start",
    )

    def __init__(
        self,
        start: int,
        end: int,
        sent_at: float,
        *,
        order: int,
        delivered: int,
        memory: int,
        push: bool,
    ) -> None:
        self.start = start
        self.end = end
        self.sent_at = sent_at
        self.order = order
        self.delivered = delivered
        self.memory = memory
        self.push = push
        self.sacked = False
        self.lost = False
        self.resent = False
        self.ever_resent = False
