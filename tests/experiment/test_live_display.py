"""The display while a scenario runs."""

from __future__ import annotations

import io
import re

import pytest

from testbed.experiment import live_display
from testbed.experiment.live_display import Display
from testbed.links.wire_counters import DirectionCounters, WireCounters
from testbed.output.console import Console
from tests.support.records import row

METHODS = {"dsd": 2, "dssd": 2}


class Radio:
    """A link that sends a megabit up each time that somebody looks, and drops a packet down."""

    def __init__(self):
        self.looks = 0

    def counters(self) -> WireCounters:
        self.looks += 1
        n = self.looks
        up = DirectionCounters(n, 0, n, 125_000 * n, 0, queued_packets=7)
        return WireCounters(up, DirectionCounters(n, 0, n, 0, dropped_packets=n, queued_packets=0))


@pytest.fixture
def shown(monkeypatch):
    """Return a function that makes a display, its wires, its output and the clock it reads."""
    moments = {"now": 100.0}
    monkeypatch.setattr(live_display.time, "monotonic", lambda: moments["now"])
    monkeypatch.setattr(live_display.clock, "now", lambda: moments["now"])

    def shown(terminal: bool, where: str | None = None):
        file, radio = io.StringIO(), Radio()
        console = Console(file=file, force_terminal=terminal, width=120)
        monkeypatch.setattr(live_display, "Console", lambda: console)
        return Display(METHODS, where), {"radio": radio}, radio, file, moments

    return shown


def decode(display, moments, seconds: float, **changes):
    """Show a generation by dsd that commits a token every 10 ms."""
    display.start("dsd", 0, 2, 100)
    for token in range(round(seconds * 100)):
        moments["now"] += 0.01
        display.update(token + 1, (token + 1) / 100)
    display.finish([row("dsd", **changes)])


def test_a_terminal_shows_methods_links_and_verdicts(shown):
    display, wires, _, file, moments = shown(True)
    with display.over(wires):
        decode(display, moments, 0.9, verdict="suspect")
        file.truncate(0)
        display.judge("dsd", "valid")  # one run's verdict does not mend another's
        decode(display, moments, 1.3)
        written = file.getvalue()
    up = r"radio  ↑ (0\.9\d|1\.00) Mbit/s, 7 under way, 0 dropped"
    assert re.search(up + r"   ↓ 0\.00 Mbit/s, 0 under way, [12] dropped", written)
    for text in ("1/2", "5.00 tok/s", "suspect", "/100 tokens, 100.0 tok/s", "0/2"):
        assert text in written


def test_the_speed_of_a_method_is_that_of_tables_so_far(shown):
    display, *_ = shown(False)
    slow, fast = row("dsd", seconds=4.0), row("dsd", seconds=1.0, device="other")
    display.finish([slow, fast])
    display.finish([row("dsd", seconds=1e-3, verdict="invalid", repeat=1)])
    assert display._methods["dsd"].speed == "5.00 tok/s"
    display.finish([row("dsd", seconds=1.0, repeat=1)])
    assert display._methods["dsd"].speed == f"{10 / 4 ** (1 / 3):.2f} tok/s"
    display.forget("dsd", 0)
    assert display._methods["dsd"].speed == "10.00 tok/s"
    display.forget("dsd", 1)
    assert display._methods["dsd"].speed == ""


def test_at_most_four_views_and_one_look_at_the_links_a_second(shown, monkeypatch):
    display, wires, radio, _, moments = shown(True)
    views = []
    with display.over(wires):
        monkeypatch.setattr(display._live, "update", lambda *_a, **_k: views.append(1))
        decode(display, moments, 10)
    assert 30 < len(views) <= 40
    assert radio.looks <= 10


@pytest.mark.parametrize(("terminal", "where"), [(False, None), (False, "x: "), (True, "x: ")])
def test_elsewhere_there_are_plain_lines_and_nobody_looks_at_the_links(shown, terminal, where):
    display, wires, radio, file, moments = shown(terminal, where)
    with display.over(wires):
        decode(display, moments, 3)
        display.say("more")
    assert radio.looks == 0
    assert file.getvalue().splitlines() == [
        f"{where or ''}[1/4] dsd prompt 1: 10 tokens in 2.00 s, 5.00 tok/s; "
        "radio 2 kB up (0 of 9 packets dropped), 0 kB down (0 of 8)",
        f"{where or ''}more",
    ]


def test_the_count_goes_on_over_networks_and_texts_of_failed_runs_leave_it(shown):
    display, wires, _, file, moments = shown(False)
    with display.over(wires):
        decode(display, moments, 3)
        display.forget("dsd", 0)
        decode(display, moments, 3, repeat=1)
    with display.over({"radio": Radio()}):
        decode(display, moments, 3)
    counts = [line.split()[0] for line in file.getvalue().splitlines()]
    assert counts == ["[1/4]", "[1/4]", "[2/4]"]
