"""The page: texts in it are never markup, and it agrees with the results."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from testbed.analysis.intervals import speed
from testbed.cli import main
from testbed.errors import TestbedError
from testbed.output.formatting import printable
from testbed.report import page
from testbed.report.page import render, write_report
from testbed.report.run_section import read_runs
from testbed.results.opening import open_results
from tests.report.pages import HOSTILE, Parsed, write_whole
from tests.support.records import ROW, alone, make_results, row

OLD = Path(__file__).parents[1] / "results" / "old_results"
ALL = "All generations of a method together"
ROWS = [
    row("dsd", tokens=10, seconds=1),
    row("dsd", tokens=10, seconds=4, prompt=1, verdict="suspect", reasons=["busy"]),
    row("dsd", tokens=10, seconds=1000, prompt=2, verdict="invalid", reasons=["late"]),
    *(alone("device_only", prompt=prompt) for prompt in (0, 1, 2)),
    row("dssd", verdict="invalid", reasons=["late"]),
]


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the figures out, which take most of the time."""
    monkeypatch.setattr(page, "draw_figures", lambda results: [])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Parsed:
    """Return a page in which every text tries to be markup."""
    labels = ["dsd", "<b>dsd</b>"]
    rows = [
        row(label, prompt=number, point={"seed": HOSTILE[2]}, verdict=level, reasons=[text])
        for label, level in zip(labels, ("suspect", "valid"), strict=True)
        for number, text in enumerate(HOSTILE)
    ]
    results = write_whole(
        tmp_path_factory.mktemp("hostile"), rows, HOSTILE, HOSTILE[::-1], chat=HOSTILE[1]
    )
    return Parsed(render(results))


def test_a_text_is_never_anything_but_text(hostile):
    kinds = [tag for tag, _ in hostile.tags]
    assert kinds.count("script") == kinds.count("style") == kinds.count("title") == 1
    assert not {"svg", "iframe", "object", "embed", "form", "base"} & set(kinds)
    for tag, attributes in hostile.tags:
        assert not any(name.startswith("on") or name == "autofocus" for name in attributes)
        for name in ("src", "href"):
            wanted = ("data:", "#") if tag != "img" else ("data:image/svg+xml;base64,",)
            assert attributes.get(name, wanted[0]).startswith(wanted)
    assert hostile.texts["title"] == ["made: testbed report"]
    assert "<b>dsd</b>" in hostile.texts["th"]


def test_every_text_is_there_as_it_was_written(hostile):
    shown = hostile.texts["pre"]
    for text in HOSTILE:
        # Once as a prompt and once as an answer of each method, and in the scenario.
        assert shown.count(printable(text)) == 3


def test_what_nobody_would_see_is_shown():
    assert printable("a\x00b\x1bc\x7f\x85\ud800\r\n\t") == "a␀b␛c␡��␍\n\t"


def test_the_browser_runs_this_script_and_no_other(hostile):
    (policy,) = [tag["content"] for _, tag in hostile.tags if "http-equiv" in tag]
    (script,) = hostile.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_figures_have_words_beside_them(hostile):
    pictures = [attributes for tag, attributes in hostile.tags if tag == "img"]
    assert pictures[0]["alt"].startswith("Tokens per second against a swept value")
    for picture in pictures:
        assert len(picture["alt"]) > 40


@pytest.mark.usefixtures("undrawn")
def test_invalid_texts_are_marked_and_count_nowhere(tmp_path):
    shown = Parsed(render(make_results(tmp_path, ROWS)))
    found = {cells[0]: cells[1:] for cells in shown.tables[ALL]}
    assert found["dsd *"][:3] == ["suspect", "2 of 3", f"{speed(ROWS[:2]).estimate:.2f}"]
    assert found["device_only"][:2] == ["valid", "3 of 3"]
    assert found["dssd"][:2] == ["invalid", "no valid generation of 1"]
    assert set(found["dssd"][2:]) == {"–"}
    assert any("2 of 7 generations are invalid" in text for text in shown.texts["p"])
    speeds = next(rows for caption, rows in shown.tables.items() if caption.startswith("Speed"))
    assert [cells[:2] for cells in speeds] == [
        ["method", "n"], ["dsd *", "2/3"], ["device_only", "3/3"], ["dssd", "0/1"],
    ]  # fmt: skip
    assert speeds[1][2] == found["dsd *"][2]
    assert "dssd: no valid generation of 1" in shown.texts["p"]


@pytest.mark.usefixtures("undrawn")
def test_what_holds_of_a_whole_run_is_said_of_it_once(tmp_path):
    rows = [
        row("dsd", prompt=prompt, verdict="suspect", reasons=[f"late {prompt}", "busy"])
        for prompt in (0, 1)
    ]
    results = make_results(tmp_path, rows)
    assert [run.reasons for run in read_runs(results, rows, {})] == [
        ["busy", "prompt 1: late 0", "prompt 2: late 1"]
    ]


@pytest.mark.usefixtures("undrawn")
def test_the_main_table_has_a_line_for_each_point_and_method(tmp_path):
    rows = [
        row(method, point={"links.radio.up.rate": rate}, rejections=1)
        for rate in ("1mbit", "2mbit")
        for method in ("dsd", "dssd")
    ]
    shown = Parsed(render(make_results(tmp_path, rows))).tables[f"{ALL}, at each point"]
    assert [cells[:4] for cells in shown] == [
        ["method", "verdict", "links.radio.up.rate", "n"],
        ["dsd", "valid", "1mbit", "1 of 1"],
        ["dssd", "valid", "1mbit", "1 of 1"],
        ["dsd", "valid", "2mbit", "1 of 1"],
        ["dssd", "valid", "2mbit", "1 of 1"],
    ]
    # Of 10 tokens in 2 s, the first after 0.5 s, in 4 rounds, each judged, with one rejection.
    assert shown[1][4:] == [
        "5.00", "500", "166.7", "2.50", "1.17", "0.86", "25", "800.0", "8.0", "200.0", "50.0",
    ]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_each_run_has_its_texts_and_its_bytes(tmp_path):
    rows = [row("dsd", prompt=0), row("dsd", prompt=1)]
    shown = Parsed(render(write_whole(tmp_path, rows, ["one", "two"], ["eins", "zwei"])))
    assert shown.texts["pre"][:4] == ["one", "two", "eins", "zwei"]
    uses = {cells[0]: cells[1:] for cells in shown.tables["Bytes on each link by use"]}
    assert uses["payload"] == ["700", "700"]
    assert uses["total"] == ["858", "858"]
    assert [cells[0] for cells in shown.tables["Generations of this run"]] == ["prompt", "1", "2"]
    assert shown.tables["Requested and measured"][1][:4] == [
        "radio up: delay, median", "20.00 ms", "20.10 ms", "± 0.50 ms",
    ]  # fmt: skip
    place = dict(shown.tables["Machine, versions and models"][1:])
    assert place == {
        "links by": "relay", "testbed": "0.1.0", "commit": "0123456789ab-dirty", "kernel": "6.1"
    }  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_what_is_needed_to_run_it_again_is_in_the_page(tmp_path):
    results = write_whole(tmp_path, [ROW], ["one"], ["eins"])
    (results.path / "inputs").mkdir()
    (results.path / "inputs" / "ab-trace.csv").write_bytes(b"1,2\n\xff")
    (results.path / "inputs" / "ab-long.csv").write_bytes(bytes(1_000_001))
    shown = Parsed(render(results))
    saved = {
        tag["download"]: base64.b64decode(tag["href"].partition("base64,")[2])
        for kind, tag in shown.tags
        if kind == "a" and "download" in tag
    }
    assert saved == {
        "scenario.yaml": (results.path / "scenario.yaml").read_bytes(),
        "ab-trace.csv": b"1,2\n\xff",
    }
    assert any("1,000,001 B" in text for text in shown.texts["p"])
    (command,) = (text for text in shown.texts["pre"] if "testbed run" in text)
    assert command.splitlines() == [
        "git checkout 0123456789ab", "scripts/setup.sh", ".venv/bin/testbed run scenario.yaml",
    ]  # fmt: skip
    assert any("not committed" in text for text in shown.texts["p"])


FACTS = ("verdict.json", "plan.json", "environment.json")
FILES = ("runs", "figures", "logs")


@pytest.mark.parametrize(
    "gone", [("scenario.yaml",), FACTS, FILES, ("scenario.yaml", *FACTS, *FILES)], ids=" ".join
)
def test_what_is_missing_breaks_nothing(tmp_path, gone):
    results = write_whole(tmp_path, ROWS[:1], ["one"], ["eins"])
    for path in results.path.iterdir():
        if path.name in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = {path.name for path in results.path.iterdir()}
    shown = Parsed(write_report(open_results(results.path)).read_text())
    assert shown.tables[ALL][1][:2] == ["dsd", "valid"]
    assert {path.name for path in results.path.iterdir()} == before | {"report.html"}
    told = " ".join(shown.texts["p"])
    for name in ("verdict.json", "scenario.yaml"):
        assert (f"no {name}" in told) == (name in gone)


@pytest.mark.usefixtures("undrawn")
def test_without_rows_there_is_a_page_that_says_so(tmp_path):
    shown = Parsed(render(make_results(tmp_path, [], ("the run stopped",))))
    assert "There are no generations." in shown.texts["p"]
    assert "the run stopped" in shown.texts["li"]


@pytest.mark.usefixtures("undrawn")
def test_older_rows_without_newer_fields_are_shown(tmp_path):
    later = {"device", "start_s", "rejections", "token_s", "round_s", "phases", "draft_passes",
             "tested_at", "accepted_at"}  # fmt: skip
    content = msgspec.json.decode((OLD / "version_2" / "summary.json").read_bytes())
    for name in later:
        del content["rows"][0][name]
    results = make_results(tmp_path, [ROW])
    (results.path / "summary.json").write_bytes(msgspec.json.encode(content))
    (cells,) = Parsed(render(results)).tables[ALL][1:]
    # Passes of the draft model, acceptance, and verifications that rejected a draft.
    assert cells[7:10] == ["–"] * 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"version": 1, "rows": []}, "cannot be read: Invalid enum value 1"),
        ({"version": 2, "scenario": "old", "rows": [{}]}, "Object missing required field"),
    ],
)
def test_results_of_another_version_say_what_reads_them(tmp_path, content, told):
    results = write_whole(tmp_path, [ROW], ["one"], ["eins"])
    (results.path / "summary.json").write_bytes(msgspec.json.encode(content))
    with pytest.raises(TestbedError, match=re.escape(told)) as caught:
        write_report(results)
    assert "\n" not in str(caught.value)
    ending = "; the testbed that wrote it, commit 0123456789ab-dirty, reads it"
    assert str(caught.value).endswith(ending)
    assert not (results.path / "report.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_the_command_writes_the_page_and_says_where(tmp_path, capsys, monkeypatch):
    results = make_results(tmp_path, [ROW])
    monkeypatch.setattr("sys.argv", ["testbed", "report", str(results.path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{results.path}/report.html\n"
    assert (results.path / "report.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.usefixtures("undrawn")
def test_a_place_that_cannot_be_written_is_named(tmp_path):
    results = make_results(tmp_path, [ROW])
    (results.path / "report.html").mkdir()
    with pytest.raises(TestbedError, match=r"report\.html: cannot be written: Is a directory"):
        write_report(results)
