"""Every figure shows the same generations, marks suspect ones, and keeps the place of a method
without any."""

from __future__ import annotations

import importlib
import math

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import plots
from plots import style
from testbed.analysis.generations import points_of
from testbed.analysis.intervals import speed as speed_of
from tests.support.lopsided import POINTS, VERDICTS, lopsided, lopsided_results
from tests.support.records import make_results, row

FIGURES = [
    name
    for name in plots.names()
    if hasattr(importlib.import_module(f"plots.{name}"), "draw") and name != "calibration"
]
"""All figures of generations: every one except calibration."""
SWEPT = {"sweep", "winners"}
SINGLE = {"timeline", "link"}
"""The figures that show a single generation or run of a method."""


def drawn(name: str, folder, **changes) -> Figure:
    points = POINTS if name in SWEPT else ({},)
    results = lopsided_results(folder, lopsided(points=points, **changes))
    with style.applied():
        figure = importlib.import_module(f"plots.{name}").draw(results)
    assert figure is not None
    return figure


def texts(figure: Figure) -> list[str]:
    """Return every text in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def content(figure: Figure) -> str:
    """Return everything that is drawn, as numbers and texts."""
    drawn = []
    for axes in figure.axes:
        drawn += [axes.get_xlim(), axes.get_ylim()]
        drawn += [line.get_xydata().tolist() for line in axes.lines]
        drawn += [
            patch.get_patch_transform().transform(patch.get_path().vertices).tolist()
            for patch in axes.patches
        ]
        drawn += [path.vertices.tolist() for each in axes.collections for path in each.get_paths()]
    return f"{drawn} {texts(figure)}"


def test_no_figure_is_forgotten():
    assert set(FIGURES) == {
        "acceptance", "bits", "latency", "link", "predicted", "speed", "sweep", "timeline",
        "traffic", "where", "winners",
    }  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_marks_what_is_suspect(tmp_path, name):
    said = texts(drawn(name, tmp_path))
    assert any("DSD *" in text for text in said)
    assert any("* suspect generations are among these" in text for text in said)
    verdicts = {**VERDICTS, "dsd": ("valid", "invalid", "valid")}
    assert not any("*" in text for text in texts(drawn(name, tmp_path, verdicts=verdicts)))


def test_a_star_that_is_nowhere_is_not_explained(tmp_path):
    """A method without verified drafts is not in the figure, suspect or not."""
    rows = [
        row("dsd", verified_per_position=[9], accepted_per_position=[6]),
        row("cloud_ar", verdict="suspect"),
    ]
    figure = importlib.import_module("plots.acceptance").draw(make_results(tmp_path, rows))
    assert not any("*" in text for text in texts(figure))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_keeps_the_place_of_a_method_without_a_valid_generation(tmp_path, name):
    said = texts(drawn(name, tmp_path))
    empty = f"no valid generation of {3 * len(POINTS) if name in SWEPT else 3}"
    assert any(empty in text for text in said)
    assert any("DSSD" in text for text in said)
    verdicts = {**VERDICTS, "dssd": ("valid", "valid", "valid")}
    assert not any("no valid" in text for text in texts(drawn(name, tmp_path, verdicts=verdicts)))


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_has_anything_of_an_invalid_generation(tmp_path, name):
    """Changing every number of an invalid generation changes nothing that is drawn."""
    shown = content(drawn(name, tmp_path))
    assert content(drawn(name, tmp_path, factor=50)) == shown
    assert content(drawn(name, tmp_path, factor=2, of="suspect")) != shown


@pytest.mark.parametrize("name", sorted(set(FIGURES) - SINGLE - {"winners"}))
def test_what_counts_of_one_method_only_is_shown_of_it(tmp_path, name):
    """Prompt 3 counts for dsd alone; a method without generations does not hide others."""
    alone = {**VERDICTS, "dsd": ("suspect", "invalid", "invalid")}
    shown = content(drawn(name, tmp_path))
    assert content(drawn(name, tmp_path, verdicts=alone)) != shown
    others = {method: levels for method, levels in VERDICTS.items() if method != "dssd"}
    without = drawn(name, tmp_path, verdicts=others)
    whole = drawn(name, tmp_path)
    for axes, same in zip(without.axes, whole.axes, strict=True):
        lines, those = (
            [line.get_xydata().tolist() for line in each.lines] for each in (axes, same)
        )
        assert [str(line) for line in lines] == [str(line) for line in those[: len(lines)]]


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"winners", "timeline"}))
def test_every_figure_says_how_many_count(tmp_path, name):
    said = " ".join(texts(drawn(name, tmp_path)))
    assert "2 of 3" in said


def test_the_map_compares_pairs_and_says_how_many(tmp_path):
    said = texts(drawn("winners", tmp_path))
    # Only prompt 1 counts for both, and dssd might have been faster.
    assert said.count("DSD *\n2.0\nn 1") == len(POINTS)
    assert "another may be as fast" in said


def test_a_method_without_any_might_have_won_so_the_map_is_hatched(tmp_path):
    rows = [
        row(method, point=point, repeat=repeat, seconds=seconds * (1 + repeat / 9))
        for point in POINTS
        for method, seconds in (("cloud_ar", 4), ("dsd", 1))
        for repeat in range(4)
    ]
    lost = [row("dssd", point=point, verdict="invalid") for point in POINTS]
    for every, hatched in ((rows, False), (rows + lost, True)):
        figure = importlib.import_module("plots.winners").draw(make_results(tmp_path, every))
        cells = figure.axes[0].patches
        assert [bool(cell.get_hatch()) for cell in cells] == [hatched] * len(POINTS)


def test_a_place_of_the_map_without_any_generation_stays_empty(tmp_path):
    rows = lopsided(points=POINTS)
    rows = [each for each in rows if each.point != POINTS[0]] + [
        row(each.method, point=POINTS[0], verdict="invalid")
        for each in rows
        if each.point == POINTS[0]
    ]
    figure = importlib.import_module("plots.winners").draw(make_results(tmp_path, rows))
    assert sum("DSD" in text.get_text() for text in figure.axes[0].texts) == 3
    assert "Cloud AR: no valid generation at 1 of 4 points" in figure.get_supxlabel()


def test_a_point_of_a_sweep_without_a_valid_generation_is_a_gap_that_is_named(tmp_path):
    points = [{"seed": seed} for seed in range(3)]
    rows = [row("dsd", point=point) for point in points]
    rows += [
        row("dssd", point=point, verdict="invalid" if number == 1 else "valid")
        for number, point in enumerate(points)
    ]
    figure = importlib.import_module("plots.sweep").draw(make_results(tmp_path, rows))
    gaps = [[math.isnan(y) for y in line.get_ydata()] for line in figure.axes[0].lines]
    assert gaps == [[False] * 3, [False, True, False]]
    assert figure.get_supxlabel() == "DSSD: no valid generation at 1 of 3 points"
    assert "DSSD (0–1 of 1)" in texts(figure)


def test_figures_have_the_speed_of_the_tables(tmp_path):
    results = lopsided_results(tmp_path, lopsided())
    (point,) = points_of(results)
    wanted = [speed_of(sample.rows).estimate for sample in point.samples if sample.rows]
    bars = importlib.import_module("plots.speed").draw(results).axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(wanted)
    marks = importlib.import_module("plots.predicted").draw(results).axes[0].lines[:2]
    assert [line.get_ydata()[0] for line in marks] == pytest.approx(wanted)
    swept = lopsided_results(tmp_path, lopsided(points=POINTS))
    lines = importlib.import_module("plots.sweep").draw(swept).axes[0].lines
    assert [line.get_ydata()[0] for line in lines] == pytest.approx(wanted)
