"""Progress of a long step: a bar on a terminal, one line elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from testbed.output.console import Console
from testbed.output.visible import in_one_line


@contextmanager
def step(console: Console, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show `label` while the block runs; the yielded function takes the bytes done so far.

    `total` is in bytes; without it the bar shows only the elapsed time.
    """
    if not console.is_terminal:
        console.print(f"{label} …", soft_wrap=True)
        yield lambda done: None
        return
    size = [] if total is None else [DownloadColumn()]
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), *size, TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(in_one_line(label), total=total)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, total=1 if total is None else total, completed=total or 1)
