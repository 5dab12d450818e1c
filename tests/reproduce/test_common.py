"""Cells and comparisons of the reproductions: nothing invalid becomes a number."""

import importlib

import msgspec
import pytest

from testbed.results.directory import Results, Summary
from testbed.results.verdict import Verdict
from tests.support.records import row


@pytest.fixture(scope="module")
def common():
    return importlib.import_module("common")


def test_one_invalid_row_empties_a_cell(common):
    rows = [row("dsd", tokens=5), row("dsd", tokens=7, verdict="invalid", reasons=["too busy"])]
    cell = common.measured(rows, "dsd", common.total("tokens"))
    assert (cell.value, cell.reason, cell.text()) == (None, "too busy", "invalid")
    assert common.measured(rows[:1], "dsd", common.total("tokens")).text(0) == "5"
    assert common.measured([], "dsd", common.total("tokens")).value is None


def test_suspect_values_have_a_star_and_pass_it_on(common):
    cell = common.measured([row("dsd", verdict="suspect")], "dsd", lambda rows: 2.0)
    assert common.combined(lambda a, b: a * b, cell, common.Measured(3)).text(1) == "6.0*"
    assert common.combined(lambda a: a, common.Measured(None, "why")).reason == "why"


@pytest.mark.parametrize(
    ("formula", "ours", "met"),
    [
        (100, 109, True),
        (100, 111, False),
        (100, 89, False),
        (100, None, False),  # an invalid run meets no limit
        (106, 150, True),  # not explained: no limit
        (106, None, True),
    ],
)
def test_a_limit_holds_where_the_formula_explains_what_is_printed(common, formula, ours, met):
    each = common.Comparison("", 100, formula, common.Measured(ours))
    assert each.met(0.1) is met


def test_what_speaks_against_the_run_speaks_against_its_rows(common, tmp_path):
    results = Results.create(tmp_path, "some")
    good = row("dsd", reasons=["a node waited"], verdict="suspect")
    for reasons, level, expected in (
        (["dsd prompt 1: a node waited"], "suspect", "suspect"),
        (["dsd prompt 1: a node waited", "link radio is slow"], "invalid", "invalid"),
    ):
        results.write_json("verdict.json", Verdict(level, reasons))
        (judged,) = common.judged([good], results)
        assert judged.verdict == expected


def scenario():
    direction = {"rate": "1mbit", "trace": "uplink.csv"}
    return {
        "name": "some",
        "links": {"radio": {"up": direction, "down": {}}},
        "models": {"synthetic": {"vocabulary_size": 50, "acceptance": 0.5}},
        "methods": ["dssd"],
        "prompts": ["any"],
    }


TRACE = "time (s),rate (mbit)\n0,1\n1,2\n"


@pytest.mark.parametrize(
    "case",
    [
        ("valid", {}, 0),
        ("suspect", {}, 0),
        ("invalid", {}, 1),
        ("valid", {"seed": 3}, 1),
        ("valid", {"trace": TRACE.replace("2\n", "3\n")}, 1),
    ],
)
def test_only_a_run_of_the_very_scenario_is_kept(monkeypatch, common, tmp_path, case):
    level, change, again = case
    launched = []

    def launch(checked, out):
        results = Results.create(out, checked.name)
        results.write_scenario(checked.to_mapping())
        results.write_json("summary.json", Summary(scenario="some", rows=[row("dsd")]))
        results.write_json("verdict.json", Verdict(level, []))
        launched.append(results)
        return results, 0

    monkeypatch.setattr(common, "launch", launch)
    first = common.run(scenario(), tmp_path, {"uplink.csv": TRACE})
    trace = change.pop("trace", TRACE)
    second = common.run({**scenario(), **change}, tmp_path, {"uplink.csv": trace})
    assert msgspec.to_builtins(first) == msgspec.to_builtins(second)
    assert len(launched) == 1 + again


def test_tables_are_written_for_people_and_for_programs(common, tmp_path):
    sheet = common.Sheet("numbers", "Numbers", ["a", "b"], [["1", "invalid"]])
    sheet.invalid("b", common.Measured(None, "too busy"))
    common.write(tmp_path, "Title", "About.", [sheet])
    assert (tmp_path / "numbers.csv").read_text() == "a,b\n1,invalid\n"
    text = (tmp_path / "tables.md").read_text()
    assert "| 1 | invalid |" in text
    assert "Invalid: b, too busy." in text
    with pytest.raises(SystemExit) as ended:
        common.finish([], [sheet])
    assert ended.value.code == 1
