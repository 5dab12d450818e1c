"""The generations that count are the same in every table, and no table has others."""

from __future__ import annotations

import pytest

from testbed.analysis.energy import Energy
from testbed.analysis.generations import Sample, counting, points_of
from testbed.analysis.intervals import speed
from testbed.analysis.tables import latency_table, tables
from testbed.report.overview import overview
from testbed.report.terminal import print_results
from testbed.results import journal
from testbed.results.directory import FailedRun, Results, Summary
from testbed.results.verdict import Verdict
from testbed.scenario.run_order import RunId
from tests.support.lopsided import VERDICTS, lopsided
from tests.support.records import make_results, row

ENERGY = Energy(per_drafted_token="80mJ", per_bit="1uJ")


def samples_of(rows) -> list[Sample]:
    methods = dict.fromkeys(each.method for each in rows)
    return [Sample(name, [each for each in rows if each.method == name]) for name in methods]


def every_table(folder, **changes) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of all tables of the terminal and of the report, by caption."""
    results = make_results(folder, lopsided(**changes))
    (point,) = points_of(results)
    found = {about: table.rows for about, table in tables(point.samples, ENERGY)}
    return {**found, "overview": overview([point]).rows}


def test_valid_and_suspect_generations_count_and_invalid_ones_never():
    rows = [row("dsd", verdict=verdict) for verdict in ("valid", "suspect", "invalid")]
    assert counting(rows) == rows[:2]
    sample = Sample("dsd", rows)
    assert (sample.rows, sample.n, sample.star, sample.why_empty) == (rows[:2], "2 of 3", " *", "")
    assert Sample("dsd", rows[::2]).star == ""
    assert Sample("dsd", rows[2:]).why_empty == "no valid generation of 1"
    assert Sample("dsd", [], 1).why_empty == "no generation: 1 run failed"
    assert Sample("dsd", []).why_empty == "no generation"


def test_every_table_has_the_same_generations_and_says_how_many(tmp_path):
    shown = every_table(tmp_path)
    assert len(shown) == 10
    first = shown.pop("overview")
    assert [(cells[0], cells[1], cells[2]) for cells in first] == [
        ("cloud_ar", "valid", "2 of 3"),
        ("dsd *", "suspect", "2 of 3"),
        ("dssd", "invalid", "no valid generation of 3"),
    ]
    for about, rows in shown.items():
        assert [cells[:2] for cells in rows] == [
            ("cloud_ar", "2/3"), ("dsd *", "2/3"), ("dssd", "0/3"),
        ], about  # fmt: skip
        verdict = ["invalid"] if about.startswith("Speed") else []
        empty = len(rows[-1]) - 2 - len(verdict)
        assert rows[-1][2:] == (*["–"] * empty, *verdict), about


def test_an_empty_line_says_why_below_each_table():
    for about, table in tables(samples_of(lopsided()), ENERGY):
        assert table.notes[0] == "dssd: no valid generation of 3", about
        assert len(table.notes) == 1 + about.startswith("Speed"), about  # it explains its columns


def test_no_table_has_anything_of_an_invalid_generation(tmp_path):
    shown = every_table(tmp_path)
    assert every_table(tmp_path, factor=50) == shown
    changed = every_table(tmp_path, factor=3, of="suspect")
    # Each table depends on the suspect generations, per-position acceptance and overview too.
    assert [about for about in shown if changed[about] == shown[about]] == []


def test_nothing_is_marked_where_nothing_is_suspect(tmp_path, capsys):
    verdicts = {**VERDICTS, "dsd": ("valid", "invalid", "valid")}
    for about, rows in every_table(tmp_path, verdicts=verdicts).items():
        assert [cells[0] for cells in rows] == ["cloud_ar", "dsd", "dssd"], about
    print_results(make_results(tmp_path, lopsided()))
    assert "* suspect generations are among these" in capsys.readouterr().out
    print_results(make_results(tmp_path, lopsided(verdicts=verdicts)))
    assert "*" not in capsys.readouterr().out


def test_a_method_without_any_takes_nothing_from_the_others(tmp_path):
    others = {method: levels for method, levels in VERDICTS.items() if method != "dssd"}
    without = every_table(tmp_path, verdicts=others)
    shown = every_table(tmp_path)
    for about, rows in without.items():
        assert shown[about][:-1] == rows, about
    # Not even where it is the one that the others are compared with.
    first_empty = {"dssd": VERDICTS["dssd"], **others}
    shown = every_table(tmp_path, verdicts=first_empty)
    for about, rows in without.items():
        assert shown[about][1:] == rows, about


def test_the_same_thing_has_the_same_figure_everywhere(tmp_path):
    wanted = f"{speed(samples_of(lopsided())[1].rows).estimate:.2f}"
    having = [about for about, rows in every_table(tmp_path).items() if wanted in rows[1]]
    assert [about.split()[0] for about in having] == [
        "Speed,", "Comparison:", "Predictions", "overview",
    ]  # fmt: skip


@pytest.mark.parametrize(("waits", "told"), [(199, False), (200, True)])
def test_p99_of_few_waits_is_not_told(waits, told):
    times = [0.1 * number for number in range(waits + 1)]
    (cells,) = latency_table(samples_of([row("dsd", token_s=times)])).rows
    assert cells[3] == str(waits)
    assert (cells[-1] != "–") == told


def test_points_and_methods_keep_the_order_of_the_scenario(tmp_path):
    """Also where a method has failed at the first point, or at all of them."""
    one, two, never = {"seed": 1}, {"seed": 2}, {"seed": 3}
    rows = [row("dsd", point=two), row("dsd", point=one), row("cloud_ar", point=two)]
    failed = [
        FailedRun(method="cloud_ar", repeat=0, point=one, reason="no answer"),
        *(FailedRun(method="dssd", repeat=0, point=point, reason="none") for point in (one, two)),
    ]
    results = make_results(tmp_path, rows)
    results.write_json("summary.json", Summary(scenario="made", rows=rows, failed=failed))
    methods = ["cloud_ar", "dssd", "dsd"]
    plans = [{"point": point, "methods": methods} for point in (one, two, never)]
    results.write_json("plan.json", plans)
    points = points_of(results)
    assert [point.values for point in points] == [one, two]
    for _, samples in points:
        assert [sample.method for sample in samples] == methods
    failed_once = "no generation: 1 run failed"
    assert [sample.why_empty for sample in points[0].samples] == [failed_once, failed_once, ""]
    (results.path / "plan.json").unlink()
    assert [point.values for point in points_of(results)] == [two, one]


@pytest.mark.parametrize(
    ("network", "run", "wanted"),
    [
        ("valid", "valid", "suspect"),
        ("valid", "invalid", "invalid"),
        ("invalid", "valid", "invalid"),
        (None, "valid", "invalid"),
    ],
)
def test_a_generation_is_no_more_believable_than_its_run_and_its_network(
    tmp_path, network, run, wanted
):
    results = Results.create(tmp_path, "made")
    results.write_scenario({"name": "made"})
    results.write_json("plan.json", [{"methods": ["dsd"]}])
    (results.path / journal.JOURNAL).touch()
    if network:
        up = journal.NetworkUp(
            session=0, network="n", point={}, processors=[0], state={},
            verdict=Verdict(network, ["links"] if network != "valid" else []),
        )  # fmt: skip
        journal.append(results.path, up)
    verdict = Verdict(run, ["captures"] if run != "valid" else [])
    rows = [row("dsd", verdict="suspect", reasons=["busy"])]
    ended = journal.RunEnded(
        network="n", point={}, turn=RunId("dsd", 0), verdict=verdict, rows=rows
    )
    journal.append(results.path, ended)
    (found,) = results.summary().rows
    assert found.verdict == wanted
    assert found.reasons[0] == "busy"
    assert (len(found.reasons) > 1) == (wanted == "invalid")
