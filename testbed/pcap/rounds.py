"""Rounds as they were seen on a link: how many bytes and frames each took, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.pcap.byte_ledger import Book, Ledger
from testbed.protocol.messages import Message, Reply, Round


@dataclass(frozen=True)
class RoundSeen:
    """One round; all that crossed the link from its first frame up to the next round's is its own.

    Times are ns of testbed.clock, at the host that sent.
    """

    session: int
    number: int
    drafts: int
    asked: int
    """When the first frame of the question was sent."""
    answered: int | None
    """When the last frame of the answer was; None if it never was."""
    up: Ledger
    up_frames: int
    down: Ledger
    down_frames: int


def rounds(up: Book, down: Book) -> Iterator[RoundSeen]:
    """The rounds of a link, in the order they were asked."""
    answers = {
        (message.session, message.round): last
        for _, last, message in carried(down)
        if isinstance(message, Reply)
    }
    asked = sorted(
        ((first, message) for first, _, message in carried(up) if isinstance(message, Round)),
        key=lambda pair: pair[0],
    )
    ends = [t for t, _ in asked[1:]] + [1 + max(up.last, down.last)]
    for (t, message), end in zip(asked, ends, strict=False):
        yield RoundSeen(
            session=message.session,
            number=message.round,
            drafts=message.drafts,
            asked=t,
            answered=answers.get((message.session, message.round)),
            up=up.between(t, end),
            up_frames=up.frames_between(t, end),
            down=down.between(t, end),
            down_frames=down.frames_between(t, end),
        )


def carried(book: Book) -> Iterator[tuple[int, int, Message]]:
    """The messages that went over a link in one direction.

    With each, when the frames were sent that first carried its first and its last byte.
    """
    for flow in book.flows:
        for element in book.streams[flow].elements:
            first, last = (
                book.first_sent(flow, place) for place in (element.spans[0].start, element.end - 1)
            )
            if element.message is not None and first is not None and last is not None:
                yield first, last, element.message
