"""Tables of the rounds and bytes captured on a link."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.output.text_table import Column, Table
from testbed.pcap.byte_ledger import Ledger
from testbed.pcap.rounds import CapturedRound


def rounds_table(seen: Iterable[CapturedRound]) -> Table:
    """Return a table with a line per round: time, duration, and for each direction its bytes.

    Columns of a direction: payload bytes, all bytes, retransmitted bytes (`again`), frames (`n`).
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
    table.notes.append(
        "exch.: number of the exchange; all: bytes of every frame up to the next exchange's first; "
        "again: of these, retransmissions; n: frames"
    )
    return table


def uses_table(up: Ledger, down: Ledger) -> Table:
    """Return a table of the bytes of each use, and their share, in both directions."""
    table = Table("up B", "%", "down B", "%", first="")
    for name in (*Ledger.__struct_fields__, "total"):
        cells = [name.replace("_", ", ")]
        for ledger in (up, down):
            size = getattr(ledger, name)
            share = f"{100 * size / ledger.total:.1f}" if ledger.total else "–"
            cells += [f"{size:,}", share]
        table.add_row(*cells)
    table.notes.append(
        "of the whole capture; ledger.json leaves out what lies before, between and after prompts"
    )
    return table
