"""Headers are broken into lines by the terminal, no more than the room there asks for."""

from __future__ import annotations

import io

from testbed.analysis.generations import Sample
from testbed.analysis.phases import PHASES
from testbed.analysis.tables import tables
from testbed.output.console import Console
from testbed.output.text_table import Column, Table
from tests.support.records import row


def shown(table: Table, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines() if line.strip()]


def made(figure: str) -> Table:
    table = Table(Column("mean acceptance length", "tokens/round"), "verdict")
    table.add_row("dssd", figure, "valid")
    return table


def test_a_header_is_as_wide_as_its_words_and_its_cells():
    lines = [line.split() for line in shown(made("2.5"), 80)]
    assert lines[:3] == [["mean"], ["acceptance"], ["length"]]
    assert lines[3:5] == [["tokens"], ["method", "/round", "verdict"]]


def test_where_there_is_room_for_it_a_header_stands_in_one_line():
    assert "mean acceptance length" in shown(made("a figure of this width"), 80)[0]


def test_words_of_headers_break_before_names_fold_and_no_figure_is_cut():
    narrow = shown(made("2.5"), 25)
    assert any("accept-" in line for line in narrow)
    assert narrow[-1].split() == ["dssd", "2.5", "valid"]


def test_every_table_fits_into_a_hundred_columns():
    measured = {
        "token_s": [0.1 * n for n in range(300)],
        "phases": dict.fromkeys(PHASES, 12.3),
        "round_s": [10.0] * 300,
        "verified_per_position": [900] * 9,
        "accepted_per_position": [600] * 9,
        "uplink_wire_bytes": 9_999_999,
    }
    rows = [row(method, seconds=0.04, repeat=n, verdict="suspect", **measured)
            for method in ("device_only", "dssd") for n in range(12)]  # fmt: skip
    every = [Sample(method, [each for each in rows if each.method == method])
             for method in ("device_only", "dssd")]  # fmt: skip
    printed = [line for _, table in tables(every, None) for line in shown(table, 100)]
    assert max(map(len, printed)) > 75
    assert sum(line.split()[:3] == ["device_only", "*", "12/12"] for line in printed) == 8
