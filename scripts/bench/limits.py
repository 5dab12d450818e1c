"""Results of benchmarks with limits, and the command that prints them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class BenchResult:
    """One line of the table. Without a limit it is there to be read."""

    what: str
    measured: float
    limit: float | None
    unit: str
    note: str = ""
    at_least: bool = False
    """The limit is a lower one."""

    @property
    def met(self) -> bool:
        """True if the result is within its limit."""
        if self.limit is None:
            return True
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


Benches: TypeAlias = Mapping[str, Callable[[], Iterator[BenchResult]]]
"""By the names to choose them by."""


def _table(figures: list[BenchResult]) -> Table:
    """All of them for people."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("what", "measured", "limit", "ratio", ""):
        shown.add_column(header, justify="left" if header in ("what", "") else "right")
    for each in figures:
        bound = "≥" if each.at_least else "≤"
        colour = "green" if each.met else "red"
        shown.add_row(
            each.what,
            f"[{colour}]{each.measured:.3f} {each.unit}{'' if each.met else ' ✗'}[/]",
            "" if each.limit is None else f"{bound} {each.limit:g} {each.unit}",
            f"{each.measured / each.limit:.2f}" if each.limit else "",
            each.note,
        )
    return shown


def command(description: str | None, benches: Benches) -> None:
    """Run the benchmarks that the command line asks for, print their figures, and exit."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(benches), metavar="A,B")
    wanted = parser.parse_args().only.split(",")
    if unknown := [name for name in wanted if name not in benches]:
        parser.error(f"--only: {unknown[0]!r} is not one; choose from {', '.join(benches)}")
    figures: list[BenchResult] = []
    for name in wanted:
        found = list(benches[name]())
        Console(width=140).print(_table(found))
        figures += found
    missed = [figure.what for figure in figures if not figure.met]
    print(f"{len(missed)} limits missed" + "".join(f"\n  {what}" for what in missed))
    sys.exit(1 if missed else 0)
