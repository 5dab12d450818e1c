"""The page: a results directory as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from testbed.analysis.aggregate import by_point, dilation_text
from testbed.analysis.energy import energy_of
from testbed.analysis.generations import Point, counting, marks_explained, points_of
from testbed.analysis.tables import tables
from testbed.analysis.validity import simulated_note
from testbed.errors import TestbedError
from testbed.files.whole_file import write_whole
from testbed.output.formatting import breakable, printable, shorten
from testbed.output.text_table import Table
from testbed.report import files, scenario_section
from testbed.report.environment_section import checks_table, environment_table
from testbed.report.figures import draw_figures
from testbed.report.overview import overview
from testbed.report.run_section import read_runs
from testbed.results.directory import Results
from testbed.scenario.schema import Energy
from testbed.scenario.sweep import namer

_LEVELS = {"valid": 0.0, "suspect": 1.0, "invalid": 2.0}
"""Sort keys of verdicts."""
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")


class Tables(NamedTuple):
    """The tables of a point of the sweep, each with its caption."""

    title: str
    note: str
    left_out: int
    """Number of invalid generations."""
    tables: list[tuple[str, Table]]


def write_report(results: Results) -> Path:
    """Write report.html into the results directory; return its path.

    Raises TestbedError when it cannot be written.
    """
    path = results.path / "report.html"
    page = render(results)
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise TestbedError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def render(results: Results) -> str:
    """Return the page as HTML. Only summary.json is required; other missing files are left out."""
    summary = results.summary()
    rows, points = summary.rows, points_of(results)
    scenario = files.scenario_of(results)
    verdict = files.verdict_of(results)
    environment = files.environment_of(results)
    templates = _templates()
    script = templates.get_template("page.js").render()
    return templates.get_template("page.html.jinja").render(
        # The browser runs this script and no other, even if a generated text contains one.
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(templates.get_template("page.css").render()),
        folder=results.path.resolve().name,
        name=summary.scenario,
        description=scenario.get("description", ""),
        rows=rows,
        left_out=len(rows) - len(counting(rows)),
        verdict=verdict,
        warnings=results.warnings(),
        again=sum(row.redecodes for row in rows),
        discarded=results.discarded(),
        retried=results.retried(),
        dilated=dilation_text(rows),
        overview=overview(points),
        lead=scenario_section.lead(scenario),
        settings=scenario_section.settings_table(scenario),
        links=scenario_section.links_table(scenario),
        link_notes=list(scenario_section.link_notes(scenario)),
        methods=scenario_section.methods_table(scenario),
        sweep=scenario_section.sweep_table([point for point, _ in by_point(rows) if point]),
        prompts=scenario_section.prompts(scenario),
        points=list(_tables(points, energy_of(scenario))),
        marks=marks_explained(each for point in points for each in point.samples),
        simulated=simulated_note(results),
        drawings=list(draw_figures(results)),
        checks=checks_table(verdict.links if verdict else []),
        environment=environment_table(environment, files.plans_of(results)),
        commit=str(environment.get("commit") or ""),
        runs=list(read_runs(results, rows, scenario)),
        scenario_file=files.scenario_file(results),
        inputs=files.input_files(results),
    )


def _templates() -> Environment:
    """Return the templates; control characters of a value are made visible, then it is escaped."""
    templates = Environment(
        loader=PackageLoader("testbed.report", "."),
        autoescape=True,
        finalize=printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"sort_key": _sort_key, "shorten": shorten, "breakable": breakable}
    return templates


def _tables(points: Sequence[Point], energy: Energy | None) -> Iterator[Tables]:
    """Yield the tables of `testbed show` for each point of the sweep."""
    name = namer(point for point, _ in points)
    for point, samples in points:
        rows = [row for sample in samples for row in sample.every]
        yield Tables(
            title=name(point),
            note=dilation_text(rows),
            left_out=len(rows) - len(counting(rows)),
            tables=list(tables(samples, energy)),
        )


def _sort_key(cell: str) -> float | None:
    """Return the sort key of a cell: its first number or its verdict's rank; None for text."""
    if cell in _LEVELS:
        return _LEVELS[cell]
    number = _NUMBER.match(cell)
    return float(number.group().replace(",", "")) if number else None
