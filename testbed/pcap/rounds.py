"""The rounds captured on a link, with the bytes and frames of each in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.pcap.byte_ledger import Ledger, SentFrames
from testbed.protocol.messages import Message, Reply, Round


@dataclass(frozen=True)
class CapturedRound:
    """One round. Every frame from its first one up to the next round's first one belongs to it.

    Times are ns of testbed.clock, at the sending host.
    """

    session: int
    number: int
    drafts: int
    asked: int
    """The time at which the first frame of the device's message was sent."""
    answered: int | None
    """The time at which the last frame of the answer was sent; None without an answer."""
    up: Ledger
    up_frames: int
    down: Ledger
    down_frames: int


def rounds(up: SentFrames, down: SentFrames) -> Iterator[CapturedRound]:
    """Yield the rounds of a link in the order of their first frames."""
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
        yield CapturedRound(
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


def carried(sent: SentFrames) -> Iterator[tuple[int, int, Message]]:
    """Yield the messages that one direction of a link carried, as (first, last, message).

    first, last: when the frames were sent that first carried its first and last byte, in ns.
    """
    for flow in sent.flows:
        for element in sent.streams[flow].elements:
            first, last = (
                sent.first_sent(flow, at) for at in (element.spans[0].start, element.end - 1)
            )
            if element.message is not None and first is not None and last is not None:
                yield first, last, element.message
