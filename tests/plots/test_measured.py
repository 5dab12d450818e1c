"""Figures of metrics other than speed: the rows that are drawn, and those that are not."""

from __future__ import annotations

import gzip

import msgspec
import pytest
from matplotlib.patches import Polygon

from plots import acceptance, bits, latency, link, predicted, speed, traffic, where, winners
from testbed.analysis.intervals import speed_ratio
from testbed.analysis.phases import PHASES
from testbed.emulation.packet_log import ChangeLine, End, Header, PacketLine, packet_log_path
from testbed.results.rows import WireBytes
from tests.support.records import alone, make_results, row

KNOWN = {
    "token_s": [0.5, 0.5, 0.6],
    "round_s": [0.5, 0.1],
    "phases": dict.fromkeys(PHASES, 0.1),
    "verified_per_position": [9, 6, 2],
    "accepted_per_position": [6, 3, 2],
}
ROWS = [
    alone("cloud_ar", token_s=[0.1, 0.3, 0.5], phases=KNOWN["phases"], verification_rounds=0),
    row("dsd", **KNOWN),
    row("ksqs", **KNOWN, verdict="suspect"),
    row("mine", **KNOWN, verdict="invalid"),
]


def names(figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_where_the_time_went_is_stacked_in_the_order_of_what_was_asked_for(tmp_path):
    (axes,) = where.draw(make_results(tmp_path, ROWS)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Cloud AR\n1 of 1", "DSD\n1 of 1", "K-SQS *\n1 of 1", "mine\n0 of 1",
    ]  # fmt: skip
    bars = [bar for bar in axes.patches if bar.get_y() == pytest.approx(1 - 0.65 / 2)]
    assert [bar.get_x() for bar in bars] == pytest.approx([10 * n for n in range(9)])
    assert [bar.get_width() for bar in bars] == pytest.approx([10] * 9)
    assert [text.get_text() for text in axes.texts[:3]] == ["1.50"] * 3
    assert names(axes.figure)[-3:] == ["queue", "loss recovery", "other"]


def test_latency_has_the_waits_of_all_and_the_rounds_of_those_that_have_some(tmp_path):
    tokens, rounds = latency.draw(make_results(tmp_path, ROWS)).axes
    dsd = tokens.lines[1]
    assert dsd.get_label() == "DSD"
    assert list(dsd.get_xdata())[1:] == pytest.approx([1, 100])  # together: at the left edge
    assert list(dsd.get_ydata())[1:] == pytest.approx([0.5, 1])
    assert [line.get_label() for line in rounds.lines] == ["DSD", "K-SQS"]
    assert list(rounds.lines[0].get_xdata())[1:] == pytest.approx([100, 500])


def test_positions_that_were_verified_seldom_are_left_out(tmp_path):
    (axes,) = acceptance.draw(make_results(tmp_path, ROWS)).axes
    assert [line.get_label() for line in axes.lines] == ["DSD", "K-SQS"]
    assert list(axes.lines[0].get_xdata()) == [1, 2]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([2 / 3, 1 / 2])


def test_bits_stand_against_acceptance_at_each_point(tmp_path):
    rows = [row("dsd", point={"seed": n}, accepted=n, rejections=8 - n) for n in (4, 6)]
    (axes,) = bits.draw(make_results(tmp_path, rows)).axes
    (marks,) = axes.lines
    assert list(marks.get_xdata()) == [800, 800]
    assert list(marks.get_ydata()) == [0.5, 0.75]


def test_predictions_stand_against_what_was_measured(tmp_path):
    rows = [row("dsd"), row("ksqs", predicted_tokens_per_second=None)]
    (axes,) = predicted.draw(make_results(tmp_path, rows)).axes
    marks, diagonal = axes.lines
    assert (*marks.get_xdata(), *marks.get_ydata()) == pytest.approx((5.5, 5))
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert predicted.draw(make_results(tmp_path, rows[1:])) is None


def test_what_older_results_do_not_have_is_not_drawn(tmp_path):
    old = make_results(tmp_path, [row("dsd"), row("ksqs", verdict="invalid", **KNOWN)])
    for figure in (where, latency, acceptance, link, winners):
        assert figure.draw(old) is None


def test_figures_with_a_panel_a_point_are_left_out_where_there_are_many(tmp_path):
    rows = [row("dsd", point={"seed": seed}, **KNOWN) for seed in range(7)]
    for figure in (speed, traffic, where, latency, acceptance):
        assert len(figure.draw(make_results(tmp_path, rows[:6])).axes) >= 6
        assert figure.draw(make_results(tmp_path, rows)) is None


SPEEDS = [("1mbit", 0, 2, 1), ("1mbit", 1, 1, 4), ("9mbit", 0, 1, 1), ("9mbit", 1, 1, 2)]
"""Rate, seed, and seconds of DSD and DSSD."""


def swept(unit: str):
    """Return rows at these points, of three repetitions or prompts."""
    return [
        row(method,
            point={"links.radio.up.rate": rate, "links.radio.down.rate": rate, "seed": seed},
            seconds=seconds * (1 + place / 9), **{unit: place})
        for rate, seed, dsd, dssd in SPEEDS
        for method, seconds in (("dsd", dsd), ("dssd", dssd))
        for place in range(3)
    ]  # fmt: skip


def test_the_map_has_the_fastest_of_each_point_and_doubts_where_it_must(tmp_path):
    figure = winners.draw(make_results(tmp_path, swept("repeat")))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1mbit", "9mbit"]
    assert axes.get_xlabel() == "radio up rate"
    won = [text.get_text().split("\n") for text in axes.texts]
    assert won == [
        ["DSSD", "2.0", "n 3"], ["DSD", "1.0", "n 3"], ["DSD", "1.0", "n 3"], ["DSD", "1.0", "n 3"]
    ]  # fmt: skip
    assert [bool(cell.get_hatch()) for cell in axes.patches] == [False, False, True, False]
    assert names(figure) == ["DSD", "DSSD", "another may be as fast"]


def test_the_map_of_a_single_repetition_claims_nothing(tmp_path):
    (axes,) = winners.draw(make_results(tmp_path, swept("prompt"))).axes
    assert all(cell.get_hatch() for cell in axes.patches)


def test_the_map_is_corrected_for_all_its_claims(tmp_path):
    """The p of each cell is .03: too much where there are four of them."""
    seconds = {"dsd": (1, 1, 1), "dssd": (1.1, 1.1 * 1.01, 1.1 * 1.06)}
    rows = [
        row(method, repeat=repeat, point={"seed": seed, "repeat": n}, seconds=each)
        for seed, n in ((0, 1), (0, 2), (1, 1), (1, 2))
        for method, repeats in seconds.items()
        for repeat, each in enumerate(repeats)
    ]
    alone = speed_ratio(rows[:3], rows[3:6])
    assert 0.0125 < alone.p < 0.05
    (axes,) = winners.draw(make_results(tmp_path, rows)).axes
    assert all(cell.get_hatch() for cell in axes.patches)


def test_what_never_asks_the_target_does_not_win(tmp_path):
    points = [{"seed": seed, "repeat": n} for seed in (0, 1) for n in (1, 2)]
    rows = [
        row(method, point=point, seconds=seconds, repeat=repeat)
        for point in points
        for method, seconds in (("dsd", 2), ("dssd", 3), ("device_only", 1 + 2 * point["seed"]))
        for repeat in (0, 1)
    ]
    results = make_results(tmp_path, rows)
    methods = [{"method": name, "label": name} for name in ("dsd", "dssd", "device_only")]
    results.write_scenario({"methods": methods})
    figure = winners.draw(results)
    assert names(figure) == ["DSD", "corner: draft alone faster"]
    corners = [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)]
    assert len(corners) == 2


def write_log(results, lines):
    for direction in ("up", "down"):
        path = packet_log_path(results.run("dsd", 0), "radio", direction)
        with gzip.open(path, "wb") as file:
            for line in lines if direction == "up" else lines[:1]:
                file.write(msgspec.json.encode(line) + b"\n")


def test_the_link_of_what_moved_most_is_drawn_over_time(tmp_path):
    moved = {"links": {"radio": WireBytes(2000, 2, 0, 0, 0, 0)}, "start_s": 5.0, **KNOWN}
    results = make_results(tmp_path, [alone("cloud_ar"), row("dsd", **moved)])
    second = 10**9
    write_log(
        results,
        [
            Header(1, "radio", "up", 0, 4 * second, {"rate": "1mbit"}),
            PacketLine(0, 5 * second, 500, 6 * second, 6 * second),
            PacketLine(1, round(5.5 * second), 700, 6 * second, round(6.5 * second)),
            PacketLine(2, 6 * second, 500, dropped="loss"),
            PacketLine(3, 9 * second, 500, dropped="loss"),  # when the text was over
            ChangeLine(6 * second, {"rate": "2mbit"}),
            End(7 * second, 4, 2, {"loss": 2}, 0, 0),
        ],
    )
    tokens, rate, queue = link.draw(results).axes
    assert tokens.get_title(loc="left") == "DSD, link radio, repetition 1 (1 of 1 generations)"
    assert list(tokens.lines[0].get_xdata()) == pytest.approx([0, 0.5, 0.5, 0.6])
    (carried,) = rate.patches
    assert carried.get_data().values.sum() * 2 / 120 == pytest.approx(8 * 1200 / 1e6)
    (asked,) = rate.lines
    assert [*asked.get_xdata(), *asked.get_ydata()] == pytest.approx([0, 1, 2, 1, 2, 2])
    waiting, drops = queue.lines
    assert list(waiting.get_ydata()) == pytest.approx([0.5, 1.2, 0.7, 0])
    assert list(drops.get_xdata()) == [1]
