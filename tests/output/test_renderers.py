"""A person's text is never markup, whatever shows it: figures, tables, lines, pages.

Everything that is shown of results is made here of rows whose every text is naughty.
"""

from __future__ import annotations

import ast
import io
import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import plots
from plots import speed, style
from testbed.models.store import progress
from testbed.output import terminal
from testbed.output.console import Console
from testbed.output.text_table import Table
from testbed.output.visible import in_one_line
from testbed.report import terminal as results_terminal
from testbed.report.page import render
from testbed.results.directory import Results
from testbed.results.verdict import Verdict
from tests.report.pages import HOSTILE, Parsed
from tests.support.records import make_results, row

NAUGHTY = [
    *HOSTILE,
    r"Solve $\frac{1}{2$ now",
    r"$\notacommand{$ and \$5 and $$",
    "_under the legend",
    "[bold red]not bold[/] [/nothing] :smile: [link=https://example.org]x[/link]",
    "\x1b[2J\x1b]0;title\x07\x9b31m\rverdict: valid",
    "line one\nverdict: valid\n\ttabbed",
    "\u202egnp.exe \u2066isolated\u2069 \u200e",
    "😀 \U0001f9ff 日本語 שלום عربي ไทย \ufffe",
    "",
    "x" * 5000,
    "{{ 7 * 7 }} %s %d {0} {name!r} \\N{SNOWMAN}",
]
KEY = "prompts.0"


def naughty_results(parent: Path, texts: list[str], *, second: bool = False) -> Results:
    """Write results with these texts wherever a person may choose one, a point for each."""
    points = [{KEY: text} for text in texts]
    if second:  # a map of winners
        points = [{**point, "name$x_$": each} for point in points for each in (texts[0], "plain")]
    labels = [text[:20] or "-" for text in texts[:2]]
    rows = [
        row(method, point=point, seconds=seconds, reasons=texts, token_s=[0.5, 1.0, 2.0],
            verified_per_position=[6, 6], accepted_per_position=[5, 4], verdict="suspect")
        for point in points
        for method, seconds in ((labels[0], 2.0), ("dsd", 1.0), (labels[-1] + "2", 4.0))
    ]  # fmt: skip
    results = make_results(parent, [], ())
    results.write_json("summary.json", {"scenario": texts[0], "rows": rows, "failed": []})
    results.write_json("verdict.json", Verdict("suspect", texts, []))
    results.write_json("plan.json", [{"backend": "relay", "warnings": texts}])
    return results


@pytest.fixture
def figures(monkeypatch):
    """Collect the texts of each figure that is written from now on."""
    drawn: list[list[str]] = []

    def written(figure, file, **options):
        save(figure, file, **options)
        drawn.append([each.get_text() for each in figure.findobj(Text) if each.get_text()])

    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", written)
    return drawn


@pytest.mark.parametrize("second", [False, True])
def test_what_a_figure_shows_of_a_text_is_the_text(tmp_path, figures, second):
    texts = [text[:60] for text in (NAUGHTY[2::3] if second else [*NAUGHTY[:1], *NAUGHTY[4::7]])]
    results = naughty_results(tmp_path, texts, second=second)
    every = ["winners"] if second else [name for name in plots.names() if name != "winners"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = {
            name: plots.render(results, name, ("pdf" if name == "sweep" else "svg",))
            for name in every
        }
    assert len(figures) == sum(map(bool, files.values())) >= (1 if second else 7)
    for svg in (each["svg"] for each in files.values() if "svg" in each):
        ElementTree.fromstring(svg)  # raises for what a browser refuses
    for each in (text for shown in figures for text in shown):
        assert "mathdefault" not in each
        assert each == "\n".join(map(in_one_line, each.split("\n")))


def test_dollars_and_underscores_come_through(tmp_path, figures):
    plots.render(naughty_results(tmp_path, ["$_$x_1$", "_a"]), "sweep", ("png",))
    shown = [text.strip() for text in figures[0]]
    assert shown.count("$_$x_1$") > 1  # a tick, and in the legend
    assert "_a" in shown
    assert any(text.startswith("_a2") for text in shown)  # in the legend alone
    with style.applied():
        assert mpl.rcParams["text.parse_math"] is False


def test_a_logarithmic_axis_has_plain_numbers(tmp_path, figures):
    rows = [row("dsd", seconds=s, point={"seed": n}) for n, s in enumerate((0.01, 1.0, 100.0))]
    results = make_results(tmp_path, [])
    results.write_json("summary.json", {"scenario": "made", "rows": rows, "failed": []})
    plots.render(results, "sweep", ("png",))
    assert {"0.1", "1", "10", "100", "1000"} <= set(figures[0])


STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("number", range(len(NAUGHTY)))
def test_what_a_terminal_shows_of_a_text_is_the_text(tmp_path, number, monkeypatch, capsys):
    text = NAUGHTY[number]
    results = naughty_results(tmp_path, [text])
    file = io.StringIO()
    monkeypatch.setattr(results_terminal, "Console", lambda: Console(file=file, width=6000))
    results_terminal.print_results(results)
    terminal.say(text)
    terminal.complain(f"error: {text}")
    shown = [file.getvalue(), *capsys.readouterr()]
    for each in shown:
        assert not STEERING.search(each)
        assert in_one_line(text) in each
    lines = file.getvalue().splitlines()
    assert [line for line in lines if line.startswith("verdict:")] == ["verdict: suspect"]
    assert all(len(each.splitlines()) == 1 for each in shown[1:])


def test_a_long_label_takes_no_figure_of_a_table_away():
    shown = Table(*(f"figure {number}" for number in range(5)))
    shown.add_row("x" * 90, *("123.45",) * 5)
    console = Console(file=io.StringIO(), width=80)
    console.print(shown)
    text = console.file.getvalue()
    assert text.count("123.45") == 5
    assert text.count("x") == 90
    assert "\N{HORIZONTAL ELLIPSIS}" not in text


def test_a_long_label_is_not_cut_off_by_the_edge_of_a_figure(tmp_path):
    rows = [row("dsd", prompt=prompt) for prompt in range(2)]
    rows += [row("x" * 90, prompt=prompt) for prompt in range(2)]
    with style.applied():
        figure = speed.draw(make_results(tmp_path, rows))
        figure.draw_without_rendering()
    assert min(each.get_window_extent().x0 for each in figure.axes[0].get_yticklabels()) >= 0


def test_a_label_is_no_markup_of_a_bar():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=6000)
    with progress.step(console, "[bold]model[/] :smile:", 10) as done:
        done(10)
    assert "[bold]model[/] :smile:" in file.getvalue()


def test_what_a_page_shows_of_a_text_is_the_text(tmp_path):
    page = render(naughty_results(tmp_path, NAUGHTY))
    parsed = Parsed(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    for tag, attributes in parsed.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not STEERING.search(page)


def test_a_label_is_no_verdict_on_a_page(tmp_path):
    rows = [row("invalid"), row("valid", verdict="suspect")]
    parsed = Parsed(render(make_results(tmp_path, rows)))
    assert not [a for tag, a in parsed.tags if tag == "tr" and a.get("class") == "invalid"]


def test_nothing_prints_but_by_the_helpers():
    """Only `terminal` and `console` print for people."""
    machines = {
        "testbed/models/llamacpp/trial.py",
        "testbed/models/operator_trial.py",
        "testbed/emulation/wire_probe.py",
        "testbed/output/terminal.py",
    }
    root = Path(plots.__file__).parents[1]
    parts = [root / part for part in ("testbed", "nodes", "plots")]
    for path in (path for part in parts for path in part.rglob("*.py")):
        name = str(path.relative_to(root))
        tree = ast.parse(path.read_text())
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        printed = [each for each in calls if isinstance(each, ast.Name) and each.id == "print"]
        assert not printed or name in machines, f"{name} prints by itself"
        imported = [
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and node.module in {"rich", "rich.console", "rich.markup"}
            and {alias.name for alias in node.names} & {"Console", "console", "print", "escape"}
        ]
        assert not imported or name == "testbed/output/console.py", (
            f"{name} has a console of its own"
        )
