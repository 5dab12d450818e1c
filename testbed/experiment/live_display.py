"""Progress of a scenario: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from testbed import clock
from testbed.analysis.aggregate import aggregate_seconds, aggregate_speed
from testbed.analysis.generations import counting
from testbed.analysis.intervals import speed
from testbed.links.wire_counters import DirectionCounters, WireCounters
from testbed.output.console import Console
from testbed.output.visible import in_one_line
from testbed.results.rows import Row
from testbed.results.verdict import Level, worst
from testbed.scenario.simulated import SIMULATED

_REFRESH = 0.25  # seconds between two views, at least: runs are not to be disturbed
_LINK_INTERVAL = 1.0  # seconds between two readings of the links
_COLOURS: dict[Level, str] = {"valid": "green", "suspect": "yellow", "invalid": "red"}


class CountedLink(Protocol):
    """A link whose packets are counted."""

    def counters(self) -> WireCounters:
        """Return the packet and byte counts since the link was built."""


@dataclass
class _Method:
    """The progress of a method."""

    generations: int
    rows: list[Row] = field(default_factory=list)
    speed: str = ""
    """Of one device, over all rows that count so far; see testbed.analysis.intervals."""
    level: Level = "valid"

    def keep(self, rows: list[Row]) -> None:
        """Replace the rows."""
        self.rows = rows
        counted = counting(rows)
        self.speed = f"{speed(counted).estimate:.2f} tok/s" if counted else ""


class Display:
    """Shows the progress, tokens/s and verdict of each method, and the state of the links."""

    def __init__(self, generations: Mapping[str, int], where: str | None = None) -> None:
        """Take the number of generations of each method, in the order of the scenario.

        Where other displays share the terminal, each line begins with `where`, and none is live.
        """
        self._console = Console()
        self._where = where or ""
        self._methods = {label: _Method(count) for label, count in generations.items()}
        self._current = ("", "")
        """The method that is decoding, and its progress."""
        self._links = _Links({})
        self._shown = 0.0
        self._live: Live | None = None
        self._is_live = self._console.is_terminal and where is None

    @contextmanager
    def over(self, links: Mapping[str, CountedLink]) -> Iterator[None]:
        """Show progress inside this context, over a network with these links."""
        self._links = _Links(links)
        if self._is_live:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        try:
            yield
        finally:
            if self._live:
                self._live.stop()
                self._live = None

    def say(self, text: str) -> None:
        """Print one line that stays."""
        self._console.print(in_one_line(f"{self._where}{text}"), soft_wrap=True)

    def start(self, label: str, prompt: int, prompts: int, tokens: int) -> None:
        """Begin prompt number `prompt` of `prompts`, from 0, with up to `tokens` new tokens."""
        self._prompt = f"prompt {prompt + 1}/{prompts}"
        self._tokens = tokens
        self._current = (label, self._prompt)

    def update(self, tokens: int, seconds: float) -> None:
        """Show that `tokens` are committed after `seconds`."""
        now = time.monotonic()
        if self._live and now - self._shown >= _REFRESH:
            self._shown = now
            rate = f"{tokens / seconds:.1f} tok/s" if seconds else ""
            self._current = (
                self._current[0],
                f"{self._prompt}: {tokens}/{self._tokens} tokens, {rate}",
            )
            self._links.read(now)
            self._live.update(self._view(), refresh=True)

    def finish(self, rows: list[Row]) -> None:
        """Show one generation of each device as done."""
        row = rows[0]
        method = self._methods[row.method]
        method.keep(method.rows + rows)
        done = sum(len(each.rows) for each in self._methods.values())
        self.judge(row.method, worst(each.verdict for each in rows))
        links = ", ".join(
            f"{name} {link.up_bytes / 1000:.0f} kB up ({link.up_dropped} of {link.up_packets} "
            f"packets dropped), {link.down_bytes / 1000:.0f} kB down ({link.down_dropped} of "
            f"{link.down_packets})"
            for name, link in row.links.items()
            if all(name in other.links for other in rows)
        )
        seconds = f"{SIMULATED} s" if row.backend == SIMULATED else "s"
        self.say(
            f"[{done}/{sum(each.generations for each in self._methods.values())}] "
            f"{row.method} prompt {row.prompt + 1}"
            f"{f' repeat {row.repeat + 1}' if row.repeat else ''}"
            f"{f' on {len(rows)} devices' if len(rows) > 1 else ''}: "
            f"{sum(each.tokens for each in rows)} tokens in "
            f"{aggregate_seconds(rows):.2f} {seconds}, "
            f"{aggregate_speed(rows):.2f} tok/s; {links}"
        )

    def forget(self, label: str, repeat: int) -> None:
        """Drop the rows of a run that has failed."""
        method = self._methods[label]
        method.keep([row for row in method.rows if row.repeat != repeat])

    def judge(self, label: str, level: Level) -> None:
        """Lower the level of a method."""
        self._methods[label].level = worst([self._methods[label].level, level])

    def _view(self) -> Group:
        table = Table.grid(padding=(0, 2))
        running, how_far = self._current
        for label, method in self._methods.items():
            table.add_row(
                Text(in_one_line(label), style="bold" if label == running else ""),
                f"{len(method.rows)}/{method.generations}",
                method.speed,
                Text(method.level, style=_COLOURS[method.level]) if method.rows else "",
                how_far if label == running else "",
            )
        return Group(table, *(Text(in_one_line(line)) for line in self._links.lines))


class _Links:
    """Rates and drops of the links, read every _LINK_INTERVAL seconds."""

    def __init__(self, links: Mapping[str, CountedLink]) -> None:
        self._links = links
        self._read_at = 0.0
        self._first: dict[str, WireCounters] = {}
        self._before: dict[str, tuple[float, WireCounters]] = {}
        self.lines: list[str] = []
        """One for each link."""

    def read(self, now: float) -> None:
        """Read the counters again unless they were read within _LINK_INTERVAL seconds."""
        if now - self._read_at < _LINK_INTERVAL:
            return
        self._read_at = now
        self.lines = []
        for name, link in self._links.items():
            at, counters = clock.now(), link.counters()
            first = self._first.setdefault(name, counters)
            since, before = self._before.get(name, (at, counters))
            self._before[name] = (at, counters)
            directions = (
                _format_direction("↑", first.up, before.up, counters.up, at - since),
                _format_direction("↓", first.down, before.down, counters.down, at - since),
            )
            self.lines.append(f"{name}  {'   '.join(directions)}")


def _format_direction(
    arrow: str,
    first: DirectionCounters,
    before: DirectionCounters,
    after: DirectionCounters,
    seconds: float,
) -> str:
    """Format one direction: its rate since the last reading, packets under way and dropped."""
    bits = 8 * (after.forwarded_bytes - before.forwarded_bytes)
    rate = f"{bits / seconds / 1e6:.2f} Mbit/s" if seconds else "–"
    dropped = after.dropped_packets - first.dropped_packets
    return f"{arrow} {rate}, {after.queued_packets} under way, {dropped} dropped"
