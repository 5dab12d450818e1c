"""Rounds as they were seen on a link: how many bytes and frames each took, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.table import Table

from testbed.traces.ledger import Book, Ledger
from testbed.transport.messages import Message, Reply, Round


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


def rounds_table(seen: Iterable[RoundSeen]) -> Table:
    """One line per round: when, how long, and its bytes either way, in n frames.

    `again` are those of retransmissions.
    """
    ways = [f"{way}\n{what}" for way in ("up", "down") for what in ("payload", "all", "again", "n")]
    table = _table("s", "round", "γ", "ms", *ways)
    begin = None
    for each in seen:
        begin = each.asked if begin is None else begin
        cells = [f"{(each.asked - begin) / 1e9:.3f}", str(each.number), str(each.drafts)]
        cells.append("–" if each.answered is None else f"{(each.answered - each.asked) / 1e6:.1f}")
        for ledger, frames in ((each.up, each.up_frames), (each.down, each.down_frames)):
            sizes = (ledger.payload, ledger.total, ledger.retransmissions, frames)
            cells += [f"{size:,}" for size in sizes]
        table.add_row(*cells)
    return table


def uses_table(up: Ledger, down: Ledger) -> Table:
    """What all bytes were for, either way."""
    table = _table("", "up B", "%", "down B", "%")
    table.columns[0].justify = "left"
    for name in (*Ledger.__struct_fields__, "total"):
        cells = [name.replace("_", ", ")]
        for ledger in (up, down):
            size = getattr(ledger, name)
            share = f"{100 * size / ledger.total:.1f}" if ledger.total else "–"
            cells += [f"{size:,}", share]
        table.add_row(*cells)
    return table


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    return table
