"""Shared parts of the reproductions: kept runs, cells that fail closed, and output.

A cell holds a measured value or the reason why there is none. Only rows of the run itself make a
value; one invalid row among those of a cell leaves it empty, and a limit on it is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
import yaml
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from testbed.experiment.launcher import launch
from testbed.results.directory import Results
from testbed.results.opening import open_results
from testbed.results.rows import Row
from testbed.scenario.load import load_scenario
from testbed.scenario.scenario import Scenario

EXPLAINED = 0.05
"""A paper's formula explains a printed value that it meets this closely."""

COMMON = {
    "topology": "edge", "verifier": "base_station", "backend": "relay", "capture": False,
}  # fmt: skip


# --- Runs -----------------------------------------------------------------------------------------


def run(
    scenario: Mapping[str, Any], out: Path, files: Mapping[str, str] | None = None
) -> list[Row]:
    """Return the rows of a scenario: of a run in `out` that is not invalid, else of a new one.

    `files` are those that it names, by their names.

    A kept run counts when its scenario is the same, so that a reproduction that was disturbed goes
    on where it has no valid run yet when it is called again. A new `out` starts afresh.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scenario.yaml")
        for name, text in (files or {}).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        path.write_text(yaml.safe_dump({**COMMON, **scenario}))
        checked = load_scenario(path)
        kept = _kept(checked, out)
        results = kept or launch(checked, out)[0]
    if any(each.endswith("the run was interrupted") for each in results.verdict().reasons):
        raise KeyboardInterrupt
    if kept:
        print(f"{checked.name}: kept from {kept.path}", flush=True)
    return judged(results.summary().rows, results)


def judged(rows: list[Row], results: Results) -> list[Row]:
    """Return the rows; all invalid where the run is, for a reason that is not one of theirs."""
    verdict = results.verdict()
    own = [reason for row in rows for reason in row.reasons]
    others = [each for each in verdict.reasons if not any(each.endswith(mine) for mine in own)]
    if verdict.level != "invalid" or not others:
        return rows
    return [msgspec.structs.replace(row, verdict="invalid", reasons=others) for row in rows]


def _kept(scenario: Scenario, out: Path) -> Results | None:
    """Return the latest run of this very scenario that is not invalid."""
    for path in sorted(out.glob(f"*-{scenario.name}-*"), reverse=True):
        if not (path / "verdict.json").exists():
            continue
        same = _text(load_scenario(path / "scenario.yaml")) == _text(scenario)
        if same and (results := open_results(path)).verdict().level != "invalid":
            return results
    return None


def _text(scenario: Scenario) -> str:
    """All of a scenario, with what is in its traces in place of where they are."""

    def contents(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: Path(each).read_text(encoding="utf-8") if key == "trace" else contents(each)
                for key, each in value.items()
            }
        return value

    return json.dumps(contents(scenario.to_mapping()), sort_keys=True)


# --- Cells ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A value, or why there is none."""

    value: float | None
    reason: str = ""
    suspect: bool = False

    def text(self, digits: int = 2) -> str:
        """For a table: a star marks what is suspect."""
        if self.value is None:
            return "invalid"
        return f"{self.value:.{digits}f}{'*' if self.suspect else ''}"


def measured(rows: Sequence[Row], method: str, value: Callable[[Sequence[Row]], float]) -> Measured:
    """Return a value of all rows of a method."""
    mine = [row for row in rows if row.method == method]
    if not mine:
        return Measured(None, "there is no text of it")
    for row in mine:
        if row.verdict == "invalid":
            return Measured(None, row.reasons[0])
    return Measured(value(mine), suspect=any(row.verdict == "suspect" for row in mine))


def combined(formula: Callable[..., float], *cells: Measured) -> Measured:
    """Return a formula of measured values."""
    for cell in cells:
        if cell.value is None:
            return cell
    return Measured(formula(*(c.value for c in cells)), suspect=any(c.suspect for c in cells))


def total(attribute: str) -> Callable[[Sequence[Row]], float]:
    """Return the sum over rows of an attribute, such as "counts.rounds"."""
    return lambda rows: float(sum(map(attrgetter(attribute), rows)))


@dataclass(frozen=True)
class Comparison:
    """A printed value, what the paper's own formula makes of it, and ours."""

    what: str
    paper: float
    formula: float
    ours: Measured

    @property
    def explained(self) -> bool:
        """Return True if the formula gives the printed value."""
        return abs(self.formula - self.paper) <= EXPLAINED * abs(self.paper)

    @property
    def apart(self) -> float | None:
        """Relative deviation of ours from the printed value; None without ours."""
        return None if self.ours.value is None else self.ours.value / self.paper - 1

    def met(self, limit: float) -> bool:
        """Return True if ours is within a limit of the printed value, where that is explained."""
        return not self.explained or (self.apart is not None and abs(self.apart) <= limit)

    def apart_text(self) -> str:
        """For a table."""
        return "–" if self.apart is None else f"{100 * self.apart:+.0f} %"


# --- Output ---------------------------------------------------------------------------------------


@dataclass
class Sheet:
    """A table with the words below it."""

    name: str
    """Of its CSV file."""
    title: str
    headers: list[str]
    rows: list[list[str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    empty: int = 0
    """The number of cells without a value."""

    def invalid(self, what: str, cell: Measured) -> None:
        """Say below the table why a cell is empty, if it is."""
        if cell.value is None:
            self.empty += 1
            self.words.append(f"Invalid: {what}, {cell.reason}.")


def write(out: Path, title: str, about: str, sheets: Sequence[Sheet]) -> None:
    """Print the tables with their words; write them as Markdown, and as CSV one by one."""
    console = Console(width=170)
    lines = [f"# {title}", "", about]
    for sheet in sheets:
        shown = Table(*sheet.headers, title=sheet.title, box=SIMPLE, title_justify="left")
        for row in sheet.rows:
            shown.add_row(*row)
        console.print(shown)
        lines += ["", f"## {sheet.title}", "", _line(sheet.headers)]
        lines += [_line(["---"] * len(sheet.headers)), *map(_line, sheet.rows)]
        for words in sheet.words:
            console.print(f"- {words}", highlight=False, markup=False)
            lines += ["", words]
        with (out / f"{sheet.name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([sheet.headers, *sheet.rows])
    path = out / "tables.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path} has the same tables")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def save(out: Path, name: str, draw: Callable[[], Any]) -> None:
    """Draw a figure in the house's style and write it, PNG and PDF."""
    mpl.use("agg")
    from plots import style  # noqa: PLC0415  after the backend is chosen

    with style.applied():
        figure = draw()
        style.without_markup(figure)
        for suffix in ("png", "pdf"):
            figure.savefig(out / f"{name}.{suffix}")
    print(f"{out / name}.png")


def finish(missed: Sequence[str], sheets: Sequence[Sheet]) -> None:
    """Say which limits were missed; exit with 1 when one was, or a table has an empty cell."""
    print(f"{len(missed)} limits missed" + "".join(f"\n  {what}" for what in missed))
    empty = sum(sheet.empty for sheet in sheets)
    if empty:
        print(f"{empty} values are invalid; the same command measures them once more")
    sys.exit(1 if missed or empty else 0)


def out_folder(description: str | None, default: str) -> Path:
    """Return the output folder that the command line names."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results", default),
        help="folder to write to (%(default)s)",
    )
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    return out
