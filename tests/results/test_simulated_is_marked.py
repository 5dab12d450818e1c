"""Simulated results are never shown as emulated: what is shown says so, and forgery is refused.

Who changes scenario, plan, journal and all checksums consistently forges anything; short of that,
some file contradicts.
"""

from __future__ import annotations

import json
import shutil
import zlib
from argparse import Namespace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import plots
from testbed.analysis.generations import points_of
from testbed.analysis.tables import tables
from testbed.analysis.validity import Validity, simulated_note
from testbed.commands import results as commands
from testbed.errors import TestbedError
from testbed.experiment import (
    launcher,
    plain_workers,
    preparation,
    run_record,
    runner,
    simulated_bench,
)
from testbed.experiment.jobs import take
from testbed.experiment.live_display import Display
from testbed.files.checksums import checksum
from testbed.report import page
from testbed.report.terminal import print_results
from testbed.results.directory import Results, Summary
from testbed.results.opening import open_results
from testbed.scenario.load import check_scenario
from testbed.scenario.schema import Energy
from tests.support.fake_runs import fake_runs, scenario
from tests.support.fake_simulation import FakeSimulation
from tests.support.records import make_results, row
from tests.support.whole_run import SYNTHETIC

NOTE = "simulated; validated against emulation for: none yet"
PACE = {"per_pass": "5ms", "per_token": "1ms"}
METHODS = ["dsd", "dssd"]
SWEEP = {"links.radio.up.rate": ["5mbit", "10mbit"], "seed": [1, 2]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of a simulated sweep."""

    def in_this_process(_self, results, jobs, pieces):
        return [runner.work(results, job, take(pieces.fileno(), job.parts)) for job in jobs]

    raw = {
        **SYNTHETIC, "backend": "simulated", "capture": False, "methods": METHODS, "sweep": SWEEP,
        "compute": {"draft": PACE, "target": PACE}, "prompts": ["one", "two"],
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated_bench, "open_simulation", FakeSimulation)
        patch.setattr(plain_workers, "record_costs", lambda *_: None)
        nothing = Validity(comparisons=[])
        for module in (plain_workers, preparation, run_record):
            patch.setattr(module, "validity", lambda: nothing)
        patch.setattr(plain_workers.PlainWorkers, "run", in_this_process)
        results, code = launcher.launch(
            check_scenario(raw, "test"), tmp_path_factory.mktemp("made")
        )
    assert code == 0
    return results.path


@pytest.fixture
def path(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def test_each_row_says_that_it_is_simulated_and_what_it_extrapolates(path):
    rows = json.loads((path / "summary.json").read_bytes())["rows"]
    assert {each["backend"] for each in rows} == {"simulated"}
    assert {tuple(each["extrapolated"]) for each in rows} == {
        ("rate", "RTT", "loss", "devices", "γ")
    }
    journal = (path / "journal.jsonl").read_text()
    assert journal.count('"backend":"simulated"') == len(rows)


def test_each_table_and_the_terminal_say_so_and_name_the_range(path, capsys):
    results = open_results(path)
    for _, samples in points_of(results):
        energy = Energy(per_drafted_token="80mJ", per_bit="1nJ")
        for _, table in tables(samples, energy):
            assert table.columns[1].header == "n simulated"
            assert all(line[0].endswith(" †") for line in table.rows)
    print_results(results)
    said = capsys.readouterr().out
    assert said.startswith(f"{NOTE}\n")
    assert "verdict: valid (simulated)" in said
    assert "† simulated outside the validated range, by rate, RTT, loss, devices, γ" in said


def test_each_figure_says_so_and_names_the_range(path, monkeypatch):
    drawn, notes = {}, []
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *_, **__: notes.append(figure.get_supxlabel())
    )
    for name in plots.names():
        if plots.render(open_results(path), name, ("svg",)):
            drawn[name] = notes.pop()
    assert notes == []
    assert {"speed", "traffic", "sweep", "winners", "timeline", "where"} <= drawn.keys()
    for name, note in drawn.items():
        assert NOTE in note.replace("\n", " "), name


def test_the_page_says_so_at_its_top_and_over_each_part(path):
    shown = page.render(open_results(path))
    assert "testbed report (simulated)</title>" in shown
    assert f"These results are {NOTE}." in shown
    for part in ("results", "figures", "tables", "runs and texts"):
        assert f"<h2>Simulated {part}</h2>" in shown
    assert "The links did what was asked" not in shown
    assert '<th scope="col">n simulated</th>' in shown
    assert "links by" not in shown


def test_exports_say_so(path):
    commands._export(Namespace(results=path, format="chrome"))
    traces = list(path.glob("runs/*/trace.json"))
    assert len(traces) == 4 * len(METHODS)
    for file in traces:
        trace = json.loads(file.read_bytes())
        assert trace["otherData"] == {"results": NOTE}
        nodes = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
        assert nodes == {"base_station (simulated)", "device (simulated)"}


def test_the_table_of_events_says_so(path):
    parquet = pytest.importorskip("pyarrow.parquet")
    commands._export(Namespace(results=path, format="parquet"))
    table = parquet.read_table(path / "events.parquet")
    assert set(table.column("backend").to_pylist()) == {"simulated"}
    assert table.schema.metadata[b"results"].decode() == NOTE


def test_a_line_of_progress_says_so(capsys):
    display = Display({"dsd": 2})
    display.finish([row("dsd", backend="simulated")])
    display.finish([row("dsd", backend="relay")])
    simulated, emulated = capsys.readouterr().out.splitlines()
    assert "10 tokens in 2.00 simulated s," in simulated
    assert "10 tokens in 2.00 s," in emulated


def test_emulated_results_say_nothing_of_the_kind(tmp_path, monkeypatch, capsys):
    fake_runs(monkeypatch)
    results, _ = launcher.launch(scenario(methods=METHODS), tmp_path)
    capsys.readouterr()
    print_results(open_results(results.path))
    assert "simulat" not in capsys.readouterr().out + page.render(open_results(results.path))


# Forgery. Each function changes results on disk; the next one may have been called before.


def edit(file: Path, change) -> None:
    value = json.loads(file.read_bytes())
    change(value)
    file.write_bytes(json.dumps(value).encode())


def edit_journal(path: Path, change) -> None:
    """Change each line of the journal, and make its checksum anew."""
    file, lines = path / "journal.jsonl", []
    for line in file.read_bytes().splitlines():
        value = json.loads(line)
        del value["crc32"]
        change(value)
        content = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        lines.append(content[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(content))
    file.write_bytes(b"".join(lines))


def renew_checksums(path: Path) -> None:
    """Let the journal hold the checksums of all files as they are now."""

    def renew(line) -> None:
        for name in line.get("files", {}) if line["event"] in ("began", "concluded") else ():
            found = checksum(path / name)
            line["files"][name] = {"size": found.size, "crc32": found.crc32}

    edit_journal(path, renew)


def relabel(rows) -> None:
    for each in rows:
        each.update(backend="relay", extrapolated=[])


def unlabel(rows) -> None:
    for each in rows:
        del each["backend"], each["extrapolated"]


def as_older(rows) -> None:
    """Write rows as version 3 did, which named no backend."""
    unlabel(rows)
    for each in rows:
        each.update(each.pop("events"))


def in_summary(change):
    def forge(path: Path) -> None:
        edit(path / "summary.json", lambda summary: change(summary["rows"]))

    return forge


def in_journal(change):
    def forge(path: Path) -> None:
        edit_journal(path, lambda line: change(line.get("rows", [])))

    return forge


def older_summary(path: Path) -> None:
    in_summary(as_older)(path)
    edit(path / "summary.json", lambda summary: summary.update(version=3))


def plan(path: Path) -> None:
    def change(plans) -> None:
        for each in plans:
            each.update(backend="relay", validated="")

    edit(path / "plan.json", change)


def one_point(path: Path) -> None:
    edit(path / "plan.json", lambda plans: plans[0].update(backend="relay"))


def scenario_file(path: Path) -> None:
    file = path / "scenario.yaml"
    file.write_text(file.read_text().replace("backend: simulated", "backend: relay"))


def no_summary(path: Path) -> None:
    (path / "summary.json").unlink()


def no_journal(path: Path) -> None:
    for name in ("journal.jsonl", "environment.json"):
        (path / name).unlink()


def no_plan(path: Path) -> None:
    (path / "plan.json").unlink()


def no_scenario(path: Path) -> None:
    (path / "scenario.yaml").unlink()


FORGERIES = {
    "rows are relabelled": [in_summary(relabel)],
    "rows lose their label": [in_summary(unlabel)],
    "rows are those of an older version": [older_summary],
    "lines of the journal are relabelled": [in_journal(relabel), no_summary],
    "lines of the journal lose their label": [in_journal(unlabel), no_summary],
    "lines of the journal are older": [in_journal(as_older), no_summary],
    "rows and lines are relabelled": [in_summary(relabel), in_journal(relabel), renew_checksums],
    "rows and lines are older": [older_summary, in_journal(as_older), renew_checksums],
    "the plan is another": [plan, renew_checksums],
    "a part of the plan is another": [one_point, renew_checksums],
    "the scenario is another": [scenario_file, renew_checksums],
    "plan and scenario are others": [plan, scenario_file, renew_checksums],
    "rows and plan are relabelled": [
        in_summary(relabel), in_journal(relabel), plan, renew_checksums,
    ],
    "rows and scenario are relabelled": [
        in_summary(relabel), in_journal(relabel), scenario_file, renew_checksums,
    ],
    "the journal is gone": [no_journal, in_summary(relabel)],
    "journal and plan are gone": [no_journal, no_plan, in_summary(relabel)],
    "the journal is gone, rows are older": [no_journal, older_summary],
    "journal and plan are gone, rows are older": [no_journal, no_plan, older_summary],
    "the journal is gone, rows and plan are others": [no_journal, plan, in_summary(relabel)],
    "journal and scenario are gone": [no_journal, no_scenario, in_summary(relabel)],
}  # fmt: skip


def read_by_all(path: Path) -> None:
    """Read results by every command; each must refuse them."""
    for reader in (
        open_results,
        lambda each: commands._show(Namespace(results=each)),
        lambda each: commands._plot(Namespace(results=each)),
        lambda each: commands._report(Namespace(results=each)),
        lambda each: commands._export(Namespace(results=each, format="chrome")),
        launcher.resume,
    ):
        with pytest.raises(TestbedError) as caught:
            reader(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("how", FORGERIES)
def test_what_was_relabelled_by_hand_is_refused_by_every_reader(path, how):
    for forge in FORGERIES[how]:
        forge(path)
    read_by_all(path)


@pytest.mark.parametrize("gone", [[no_summary], [no_journal], [no_journal, no_plan]])
def test_what_is_missing_leaves_them_simulated(path, gone):
    for remove in gone:
        remove(path)
    note = simulated_note(open_results(path))
    assert note.startswith("simulated; ")
    assert ("is not known" in note) == (no_plan in gone)


def test_files_that_are_read_without_being_opened_are_refused_too(path):
    in_summary(relabel)(path)
    with pytest.raises(TestbedError, match=r"summary\.json: a generation of dsd has the backend r"):
        points_of(Results(path))
    for name in ("speed", "traffic"):
        with pytest.raises(TestbedError, match="has the backend relay"):
            plots.render(Results(path), name, ("svg",))


def test_rows_of_two_backends_are_refused(tmp_path):
    for pair in (["relay", "simulated"], ["simulated", "netem"], ["emulated", "simulated"]):
        rows = [row("dsd", backend=each, prompt=n) for n, each in enumerate(pair)]
        results = make_results(tmp_path, rows)
        with pytest.raises(TestbedError, match=f"has the backend {pair[1]}, and the results "):
            open_results(results.path)


def test_simulated_runs_in_the_journal_of_emulated_ones_are_refused(tmp_path, monkeypatch):
    fake_runs(monkeypatch)
    results, _ = launcher.launch(scenario(methods=METHODS), tmp_path)

    def change(line) -> None:
        if line["event"] == "run" and line["turn"][0] == "dsd":
            for each in line["rows"]:
                each["backend"] = "simulated"

    edit_journal(results.path, change)
    no_summary(results.path)
    read_by_all(results.path)


def test_older_rows_are_emulated_ones(tmp_path):
    results = make_results(tmp_path, [row("dsd")])
    older_summary(results.path)
    found = open_results(results.path)
    assert [each.backend for each in found.summary().rows] == ["emulated"]
    assert simulated_note(found) == ""
    assert isinstance(found.summary(), Summary)


def test_what_is_forged_without_a_change_is_read(path):
    for change in (in_summary(list), in_journal(list), renew_checksums):
        change(path)
    assert simulated_note(open_results(path)) == NOTE
