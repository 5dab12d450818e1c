"""What a person sees while a scenario runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from testbed.emulation.wire import Wire
from testbed.traces.summary import Row, together_seconds, together_speed

_LINK_INTERVAL = 1.0  # seconds between looks at the links


class Display:
    """Shows method, prompt, tokens, tokens/s and link state."""

    def __init__(self, texts: int, wires: dict[str, Wire], where: str | None = None) -> None:
        """`texts` is how many texts are decoded in all.

        Where others are shown at the same time, each line begins with `where`, and none is live.
        """
        self._console = Console()
        self._where = where or ""
        self._live = self._console.is_terminal and where is None
        self._texts = texts
        self._done = 0
        self._wires = wires
        self._looked = 0.0
        self._links = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}  {task.fields[links]}"),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> Display:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(f"{self._where}{text}", highlight=False, markup=False, soft_wrap=True)

    def start(self, label: str, prompt: int, prompts: int, tokens: int) -> None:
        """A text starts: the `prompt`-th of `prompts`, `tokens` tokens wanted."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(
            f"{label} prompt {prompt + 1}/{prompts}", total=tokens, speed="", links=self._links
        )

    def update(self, tokens: int, seconds: float) -> None:
        """`tokens` are certain after `seconds`."""
        now = time.monotonic()
        if self._live and now - self._looked > _LINK_INTERVAL:
            self._looked = now
            self._links = "  ".join(_state(wire) for wire in self._wires.values())
        task = self._bar.task_ids[-1]
        self._bar.update(
            task, completed=tokens, speed=f"{tokens / seconds:.1f} tok/s", links=self._links
        )

    def finish(self, rows: list[Row]) -> None:
        """A text is done on each device."""
        self._done += len(rows)
        row = rows[0]
        links = ", ".join(
            f"{name} {link.up_bytes / 1000:.0f} kB up ({link.up_dropped} of {link.up_packets} "
            f"packets dropped), {link.down_bytes / 1000:.0f} kB down ({link.down_dropped} of "
            f"{link.down_packets})"
            for name, link in row.links.items()
            if all(name in other.links for other in rows)
        )
        self.say(
            f"[{self._done}/{self._texts}] {row.method} prompt {row.prompt + 1}"
            f"{f' repeat {row.repeat + 1}' if row.repeat else ''}"
            f"{f' on {len(rows)} devices' if len(rows) > 1 else ''}: "
            f"{sum(each.tokens for each in rows)} tokens in "
            f"{together_seconds(rows):.2f} s, {together_speed(rows):.2f} tok/s; {links}"
        )


def _state(wire: Wire) -> str:
    counters = wire.counters()
    return (
        f"{wire.name}: {counters.up.queued_packets}↑ {counters.down.queued_packets}↓ queued, "
        f"{counters.up.dropped_packets + counters.down.dropped_packets} dropped"
    )
