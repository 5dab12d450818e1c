"""What was captured on a link, as tables."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.output.text_table import Column, Table
from testbed.pcap.byte_ledger import Ledger
from testbed.pcap.rounds import RoundSeen


def rounds_table(seen: Iterable[RoundSeen]) -> Table:
    """One line per exchange: when, how long, and its bytes either way, in n frames.

    `again` are those of retransmissions.
    """
    directions = [
        Column(direction, what)
        for direction in ("up", "down")
        for what in ("payload", "all", "again", "n")
    ]
    table = Table("exch.", "γ", "ms", *directions, first="s")
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
    table = Table("up B", "%", "down B", "%", first="")
    for name in (*Ledger.__struct_fields__, "total"):
        cells = [name.replace("_", ", ")]
        for ledger in (up, down):
            size = getattr(ledger, name)
            share = f"{100 * size / ledger.total:.1f}" if ledger.total else "–"
            cells += [f"{size:,}", share]
        table.add_row(*cells)
    return table
