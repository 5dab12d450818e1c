"""Figures: values that are drawn, left out and marked."""

from __future__ import annotations

import shutil
import sys

import msgspec
import pytest

from plots import FIRST, bits, draw_all, predicted, speed, sweep, timeline, traffic, winners
from plots.style import method_style
from testbed.analysis import intervals
from testbed.analysis.generations import STAR
from testbed.cli import main
from testbed.errors import TestbedError
from testbed.experiment import launcher
from testbed.report.page import render
from testbed.report.terminal import print_results
from testbed.results.opening import open_results
from testbed.results.verdict import Verdict
from tests.support.records import alone, make_results, row, write_events

ROWS = [
    *(row("cloud_ar", tokens=10, seconds=5, prompt=prompt) for prompt in (0, 1)),
    *(alone("device_only", seconds=4, prompt=prompt) for prompt in (0, 1)),
    # Of a prompt for which dsd has no valid row: it counts for its own method.
    row("cloud_ar", tokens=10, seconds=5, prompt=2),
    row("dsd", tokens=10, seconds=1),
    row("dsd", tokens=10, seconds=4, prompt=1, verdict="suspect"),
    row("dsd", tokens=10, seconds=1000, prompt=2, verdict="invalid"),
    row("mine", verdict="invalid"),
]
DRAWN = ["Cloud AR\n3 of 3", "Device only\n2 of 2", "DSD *\n2 of 3", "mine\n0 of 1"]


def names(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def notes(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_keys_that_change_together_share_the_axis_of_a_sweep(tmp_path):
    rows = [
        row("dsd", point={"rate": rate, "delay": delay, "seed": seed})
        for rate, delay in (("1mbit", "9ms"), ("2mbit", "5ms"))
        for seed in (1, 2)
    ]
    panels = sweep.draw(make_results(tmp_path, rows)).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["seed 1", "seed 2"]
    assert panels[-1].get_xlabel() == "rate, delay"


UNLIKE = [
    {"links.radio.up.loss": "5%"},
    {"links.radio.changes": [{"at": "1s", "outage": "1s"}]},
    {"links.radio.up.loss": "5%", "seed": 2},
    {"models.synthetic.seed": 2, "repeat": 2},
]


@pytest.mark.slow
def test_points_of_unlike_keys_are_the_axis_themselves_and_make_no_map(tmp_path):
    rows = [
        row(method, point=point, seconds=seconds)
        for point in UNLIKE
        for method, seconds in (("dsd", 2), ("dssd", 1))
    ]
    results = make_results(tmp_path, rows)
    (axes,) = sweep.draw(results).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "radio up loss 5%",
        "radio changes [{'at':\n'1s', 'outage': '1s'}]",
        "radio up loss 5%, seed 2",
        "seed 2, repeat 2",
    ]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 1, 2, 3]] * 2
    assert winners.draw(results) is None
    assert list(draw_all(results))
    print_results(results)
    page = render(results)
    assert "radio changes" in page


def test_every_figure_is_written_as_png_and_pdf(tmp_path):
    results = make_results(tmp_path, ROWS)
    paths = list(draw_all(open_results(results.path)))
    wanted = {
        f"{name}.{kind}"
        for name in ("bits", "predicted", "speed", "timeline", "traffic")
        for kind in ("png", "pdf")
    }
    assert {path.name for path in paths} == wanted
    assert {path.name for path in (results.path / "figures").iterdir()} == wanted
    for path in paths:
        assert path.parent == results.path / "figures"
        magic = b"\x89PNG" if path.suffix == ".png" else b"%PDF"
        assert path.read_bytes().startswith(magic)
        assert path.stat().st_size > 5000


def test_a_run_draws_the_first_of_them(tmp_path):
    paths = draw_all(make_results(tmp_path, ROWS), FIRST)
    assert {path.stem for path in paths} == {"speed", "timeline", "traffic"}


def test_speed_has_a_bar_for_each_method_from_the_rows_that_count(tmp_path):
    figure = speed.draw(make_results(tmp_path, ROWS))
    (axes,) = figure.axes
    assert names(axes) == DRAWN
    mean = intervals.speed(ROWS[5:7]).estimate  # of 10 and 2.5
    assert [bar.get_width() for bar in axes.patches] == [2, 2.5, pytest.approx(mean)]
    dots = [sorted(line.get_xdata()) for line in axes.lines]
    assert dots == [[2, 2, 2], [2.5, 2.5], [2.5, 10]]
    assert notes(axes) == ["2.0", "2.5", f"{mean:.1f}", "no valid generation of 1"]
    assert figure.get_supxlabel() == STAR


def test_traffic_has_payload_and_frames_of_each_method_both_ways(tmp_path):
    figure = traffic.draw(make_results(tmp_path, ROWS))
    up, down = figure.axes
    assert names(up) == DRAWN
    assert [bar.get_width() for bar in up.patches] == [200, 100, 0, 0, 200, 100]
    assert [bar.get_width() for bar in down.patches] == [50, 1, 0, 0, 50, 1]
    assert notes(up) == ["200", "nothing", "200", "no valid generation of 1"]
    assert up.get_xlim()[1] > 300  # room for the numbers
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["frames", "payload"]


CELL = [
    row("dsd", device=name, seconds=seconds, start_s=start, prompt=prompt)
    for prompt in (0, 1)
    for name, seconds, start in (("device1", 4, 100), ("device2", 5, 101))
]


def test_speed_is_of_one_device_and_says_what_all_make_together(tmp_path):
    (axes,) = speed.draw(make_results(tmp_path, CELL)).axes
    mean = intervals.speed(CELL).estimate
    assert [bar.get_width() for bar in axes.patches] == [pytest.approx(mean)]
    assert notes(axes) == [f"{mean:.1f} (aggregate 3.3)"]  # 20 tokens in 6 s
    assert "of one device" in axes.get_xlabel()


def test_together_is_of_the_prompts_that_count_on_every_device(tmp_path):
    broken = row("dsd", device="device2", prompt=1, start_s=101, verdict="invalid")
    (axes,) = speed.draw(make_results(tmp_path, [*CELL[:3], broken])).axes
    assert len(axes.lines[0].get_xdata()) == 3
    assert "(aggregate 3.3)" in notes(axes)[0]
    broken = [msgspec.structs.replace(each, verdict="invalid") for each in CELL[1::2]]
    (axes,) = speed.draw(make_results(tmp_path, [*CELL[::2], *broken])).axes
    assert notes(axes) == ["2.5"]


def test_timeline_shows_the_first_device(tmp_path):
    results = make_results(tmp_path, CELL)
    for number in (1, 2):
        path = results.run("dsd", 0) / f"device{number}.jsonl"
        for start in (50 + number, 99 + number):  # it was decoded once more
            write_events(path, "device", f"device{number}/0", start=start * 10**9)
    (axes,) = timeline.draw(results).axes
    assert spans(axes)[0] == [(0, 0.4), (1, 1.3)]
    assert spans(axes)[2] == []  # the verifier's events are of another text


def test_all_figures_agree_on_a_colour():
    assert method_style("dsd", ["dsd"]) == method_style("dsd", ["other", "dsd"])
    others = [method_style(label, ["a", "dsd", "b"]).colour for label in ("a", "b")]
    assert len({*others, method_style("dsd", []).colour}) == 3


def spans(axes) -> list[list[tuple[float, float]]]:
    """Return (begin, end) of each bar by lane: draft, uplink, verify, downlink."""
    return [
        [
            (round(path.get_extents().x0, 3), round(path.get_extents().x1, 3))
            for path in collection.get_paths()
        ]
        for collection in axes.collections[:4]
    ]


def test_timeline_shows_the_phases_of_the_first_text(tmp_path):
    results = make_results(tmp_path, [row("dsd")])
    for node in ("device", "base_station"):  # of another text, in the same files
        path = results.run("dsd", 0) / f"{node}.jsonl"
        write_events(path, node, "device/1", start=6 * 10**9)
    (axes,) = timeline.draw(results).axes
    assert axes.get_ylabel() == "DSD"
    assert axes.get_xlim() == (0, 2)
    assert spans(axes) == [
        [(0, 0.4), (1, 1.3)],
        [(0, 0.1), (0.4, 0.6), (1.3, 1.5)],
        [(0.1, 0.3), (0.6, 0.9), (1.5, 1.8)],
        [(0.9, 1), (1.8, 1.9)],
    ]
    ticks = [segment[0][0] for segment in axes.collections[4].get_segments()]
    assert ticks == pytest.approx([1, 1.9])


def test_timeline_has_a_strip_for_each_method_as_long_as_the_fastest(tmp_path):
    rows = [*ROWS, row("dssd", verdict="invalid"), row("dsd", repeat=1)]
    figure = timeline.draw(make_results(tmp_path, rows))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "Cloud AR", "Device only", "DSD", "mine", "DSSD",
    ]  # fmt: skip
    assert figure.axes[-1].get_xlim() == (0, 1)
    cloud, device_only, _ = map(spans, figure.axes[:3])
    assert all(begin < 1 for lane in cloud for begin, _ in lane)
    assert device_only[0]
    assert device_only[1:] == [[], [], []]
    assert [notes(axes) for axes in figure.axes[3:]] == [["no valid generation of 1"]] * 2
    assert "prompt 1, repetition 1" in figure.get_supxlabel()


def test_timeline_has_the_first_prompt_that_counts_of_most_methods(tmp_path):
    rows = [
        row(method, prompt=prompt, verdict=verdict)
        for method, verdicts in (
            ("cloud_ar", ("valid", "valid")),
            ("dsd", ("invalid", "suspect")),
            ("dssd", ("valid", "invalid")),
            ("gumbel", ("invalid", "valid")),
        )
        for prompt, verdict in enumerate(verdicts)
    ]
    figure = timeline.draw(make_results(tmp_path, rows))
    assert [axes.get_ylabel() for axes in figure.axes] == ["Cloud AR", "DSD *", "DSSD", "Gumbel"]
    assert notes(figure.axes[2]) == ["nothing to show of prompt 2, repetition 1"]
    assert STAR in figure.get_supxlabel().splitlines()


def test_timeline_does_without_runs_whose_events_are_gone(tmp_path):
    results = make_results(tmp_path, ROWS)
    shutil.rmtree(results.path / "runs" / "dsd-0")
    figure = timeline.draw(results)
    assert notes(figure.axes[2]) == ["nothing to show of prompt 1, repetition 1"]
    shutil.rmtree(results.path / "runs")
    assert timeline.draw(results) is None


@pytest.mark.parametrize("rows", [[], [row("dsd", verdict="invalid")]], ids=["none", "invalid"])
def test_without_rows_that_count_there_are_no_figures(tmp_path, rows):
    results = make_results(tmp_path, rows)
    assert list(draw_all(results)) == []
    assert list(results.path.glob("figures/*")) == []
    assert results.verdict() == Verdict("invalid" if rows else "valid")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "nothing to draw: no run has ended"),
        ([row("dsd", verdict="invalid")] * 2, "nothing to draw: all 2 generations are invalid"),
        (
            [
                alone("device_only", point={"repeat": repeat, "seed": seed},
                      predicted_tokens_per_second=None)
                for repeat in (1, 2) for seed in range(7)
            ],
            "nothing to draw: the sweep has more points than a figure has room for",
        ),
    ],
)  # fmt: skip
def test_a_command_that_draws_nothing_says_why(tmp_path, monkeypatch, capsys, rows, said):
    results = make_results(tmp_path, rows)
    monkeypatch.setattr(sys, "argv", ["testbed", "plot", str(results.path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {results.path}: {said}\n"


@pytest.mark.parametrize("verdict", ["valid", "invalid"])
def test_a_run_recommends_figures_where_there_are_any(tmp_path, monkeypatch, capsys, verdict):
    results = make_results(tmp_path, [row("dsd", verdict=verdict)])
    results.write_json("plan.json", [])
    monkeypatch.setattr(launcher, "resume", lambda *_, **__: (results, 0))
    monkeypatch.setattr(sys, "argv", ["testbed", "run", "--resume", str(results.path)])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert ("testbed plot" in said) == (verdict == "valid")
    assert ("nothing to draw: all 1 generations are invalid" in said) == (verdict == "invalid")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    results = make_results(tmp_path, ROWS)
    (results.path / "figures").touch()
    with pytest.raises(TestbedError, match="figures: cannot be written: File exists"):
        list(draw_all(results))


@pytest.mark.slow
def test_every_figure_of_a_dilated_run_says_so(tmp_path, monkeypatch):
    drawn = []
    for module in (bits, predicted, speed, timeline, traffic):
        draw = module.draw
        monkeypatch.setattr(
            module, "draw", lambda results, draw=draw: drawn.append(draw(results)) or drawn[-1]
        )
    dilated = [msgspec.structs.replace(each, time_dilation=5.0) for each in ROWS]
    list(draw_all(make_results(tmp_path, dilated)))
    note = "in emulated time; everything ran 5 times as slow"
    assert [figure.get_supxlabel().splitlines().count(note) for figure in drawn] == [1] * 5
    drawn.clear()
    list(draw_all(make_results(tmp_path, ROWS)))
    assert not any(note in figure.get_supxlabel() for figure in drawn)
    assert len(drawn) == 5
