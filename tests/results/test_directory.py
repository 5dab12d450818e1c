"""The results directory, and the tables printed from it."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plots import draw
from testbed.analysis.aggregate import aggregate_speed
from testbed.analysis.energy import Energy
from testbed.analysis.generations import Sample
from testbed.analysis.intervals import speed
from testbed.analysis.metrics import predicted_speed
from testbed.analysis.phases import PHASES
from testbed.analysis.tables import energy_table
from testbed.errors import TestbedError
from testbed.report.terminal import print_results
from testbed.results.directory import Results, Summary
from testbed.results.opening import open_results
from testbed.results.verdict import Verdict
from testbed.scenario.load import check_scenario
from tests.scenario.test_load import BASE
from tests.support.records import ROW, alone, make_results, row

OLD = Path(__file__).parent / "old_results"


def refusal(read, *arguments) -> str:
    with pytest.raises(TestbedError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_new_directory_is_named_by_time_and_scenario_and_is_never_an_old_one(tmp_path):
    paths = {Results.create(tmp_path / "a" / "b", "quick").path for _ in range(5)}
    assert len(paths) == 5
    for path in paths:
        assert path.is_dir()
        assert path.parent == tmp_path / "a" / "b"
        assert re.fullmatch(r"\d{8}T\d{6}Z-quick-[0-9a-f]{6}", path.name)


def test_a_place_that_cannot_hold_results_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = refusal(Results.create, tmp_path / "file", "quick")
    assert message == f"--out {tmp_path}/file: cannot write there: Not a directory"


def test_what_was_written_is_read_back(tmp_path):
    rows = [row("dsd", point={"links.radio.up.rate": "1mbit"}), alone("device_only")]
    results = make_results(tmp_path, rows, ("late",))
    again = open_results(results.path)
    assert again.summary() == Summary(scenario="made", rows=rows)
    assert again.verdict() == Verdict("valid", ["late"])


def reread(results: Results, scenario: dict) -> dict:
    results.write_scenario(scenario)
    read = results.scenario()
    del read["tcp"]  # of results that lack it, testbed.results.old_keys
    return read


@settings(deadline=None)
@given(texts=st.lists(st.text()))
def test_a_scenario_is_read_back_whatever_its_prompts(tmp_path_factory, texts):
    results = Results(tmp_path_factory.getbasetemp())
    assert reread(results, {"prompts": texts, "seed": 1}) == {"prompts": texts, "seed": 1}


def test_line_breaks_of_all_kinds_survive(tmp_path):
    odd = [f"a{end}b" for end in ("\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", "\x0b")]
    odd += ["\n", "\x85", "\ufeff", "- 'x'\t\"y\"\\ # no", "null", ""]
    assert reread(Results(tmp_path), {"prompts": odd}) == {"prompts": odd}


def test_results_hold_all_files_of_links_and_compute_wherever_a_sweep_names_them(tmp_path):
    """Files of the same name in different folders are kept apart."""
    here, there = tmp_path / "here", tmp_path / "there"
    for number, folder in enumerate((here, there), 1):
        folder.mkdir()
        (folder / "t.mm").write_text(f"{number}\n")
        (folder / "t.csv").write_text(f"time,rate\n0,{number}mbit\n")
        (folder / "phone.yaml").write_text(
            f"per_pass: {number}ms\nper_token: 1ms\nsource: a watch\n"
        )
    up, profile = "links.radio.up", "compute.draft.profile"
    raw = {**copy.deepcopy(BASE), "compute": {"draft": {"per_pass": "1ms", "per_token": "1ms"}}}
    raw["sweep"] = [
        {f"{up}.rate": {"mahimahi": "here/t.mm"}, profile: "here/phone.yaml"},
        {f"{up}.rate.mahimahi": "there/t.mm", profile: "there/phone.yaml"},
        {f"{up}.trace": "here/t.csv"},
        {up: {"trace": "there/t.csv"}},
    ]
    raw["links"]["radio"]["up"] = {"rate": {"mahimahi": "here/t.mm"}}
    raw["sweep"][0]["seed"] = 7
    folder = tmp_path / "results"
    folder.mkdir()
    asked = check_scenario(raw, str(tmp_path / "s.yaml"))
    results = Results(folder)
    results.write_scenario(asked.to_mapping())
    shutil.rmtree(here)
    shutil.rmtree(there)
    folder = folder.rename(tmp_path / "moved")
    kept = check_scenario(Results(folder).scenario(), str(folder / "scenario.yaml"))
    for before, after in zip(asked.points, kept.points, strict=True):
        assert asked_of(before) == asked_of(after)
    assert len(list(folder.glob("inputs/*"))) == 6


def asked_of(point) -> tuple:
    rate = point.scenario.links["radio"].up.rate
    times = rate and rate.times
    moments = [each.up.rate for each in point.scenario.schedules["radio"].moments]
    return times, moments, point.scenario.paces


def test_the_scenario_stays_legible(tmp_path):
    results = Results(tmp_path)
    results.write_scenario({"prompts": ["für 😀"], "description": "second"})
    text = (tmp_path / "scenario.yaml").read_text(encoding="utf-8")
    assert text == "prompts:\n- für 😀\ndescription: second\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "expected `mapping`, got `null`"),
        ("- a", "['a']: expected `mapping`, got `list`"),
        ("a: [", "line 1: expected the node content, but found '<stream end>'"),
        ("name: 3", "name: 3: expected `str`, got `int`"),
        (b"\xff\xfe\x00", "cannot be read: it is not UTF-8 text"),
    ],
)
def test_a_missing_or_damaged_scenario_is_named(tmp_path, content, reason):
    results = Results(tmp_path)
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "scenario.yaml").write_bytes(data)
    assert refusal(results.scenario) == f"{tmp_path}/scenario.yaml: {reason}"


def test_a_directory_without_a_summary_holds_no_results(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        assert refusal(open_results, path) == f"{path}: no results there; it has no summary.json"


def summary(**changes) -> bytes:
    content = msgspec.to_builtins(Summary(scenario="x", rows=[ROW]))
    return msgspec.json.encode({**content, **changes})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"scenario": "x"',
        b'{"scenario": "x"}',
        b"\xff",
        summary(version=1),
        summary(version="2"),
        summary(rows={}),
        summary(rows=[{"method": "dsd"}]),
        summary(rows=[{**msgspec.to_builtins(ROW), "verdict": "fine"}]),
        summary(rows=[{**msgspec.to_builtins(ROW), "seconds": "2"}]),
    ],
    ids=lambda content: content[-40:].decode(errors="replace"),
)
def test_a_summary_of_another_shape_is_named(tmp_path, content):
    (tmp_path / "summary.json").write_bytes(content)
    message = refusal(open_results(tmp_path).summary)
    assert message.startswith(f"{tmp_path}/summary.json: cannot be read: ")


def test_a_summary_of_another_version_names_the_commit_that_reads_it(tmp_path):
    (tmp_path / "summary.json").write_bytes(summary(version=1))
    (tmp_path / "environment.json").write_text('{"commit": "abc123", "kernel": "6.1"}')
    message = refusal(open_results(tmp_path).summary)
    assert message.endswith("; the testbed that wrote it, commit abc123, reads it")


def test_results_of_an_older_commit_are_shown_and_drawn(tmp_path, capsys):
    """Commit ae7da9f wrote these two rows, without a journal and with fewer fields."""
    shutil.copy(OLD / "summary.json", tmp_path)
    results = open_results(tmp_path)
    results.write_json("verdict.json", Verdict())
    results.write_scenario({"name": "old"})
    assert [row.redecodes for row in results.summary().rows] == [0, 0]
    print_results(results)
    assert results.summary().rows[0].method in capsys.readouterr().out
    assert tmp_path / "figures" / "speed.png" in list(draw(results, "speed"))


def test_a_run_that_never_ended_has_no_verdict_and_says_so(tmp_path):
    results = make_results(tmp_path, [ROW])
    (results.path / "verdict.json").unlink()
    message = refusal(results.verdict)
    assert message == f"{results.path}/verdict.json: cannot be read: No such file or directory"


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    results = make_results(tmp_path, [ROW])
    before = {path.name for path in results.path.iterdir()}

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:9])
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(Path, "write_bytes", full)
        results.write_json("summary.json", Summary(scenario="new", rows=[]))
    assert results.summary().rows == [ROW]
    results.write_json("summary.json", Summary(scenario="new", rows=[]))
    assert results.summary().rows == []
    assert {path.name for path in results.path.iterdir()} == before


def test_each_run_and_each_node_has_its_place(tmp_path):
    results = Results(tmp_path)
    assert results.run("dsd-8", 2) == results.run("dsd-8", 2) == tmp_path / "runs" / "dsd-8-2"
    assert results.run("dsd-8", 2).is_dir()
    assert results.log("device") == tmp_path / "logs" / "device.log"
    assert results.log("device").parent.is_dir()


ROWS = [
    row("dsd", tokens=10, seconds=1),
    row("dsd", tokens=10, seconds=4, prompt=1, verdict="suspect"),
    alone("device_only"),
    row("dssd-8", verdict="invalid"),
]


@pytest.fixture
def lines(tmp_path, monkeypatch, capsys):
    def lines(rows, *reasons):
        monkeypatch.setenv("COLUMNS", "200")
        print_results(make_results(tmp_path, rows, reasons))
        return [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]

    return lines


def test_the_tables_have_each_method_once_in_the_order_they_ran(lines):
    first = [words[0] for words in lines(ROWS)]
    methods = [word for word in first if word in {each.method for each in ROWS}]
    assert methods == ["dsd", "device_only", "dssd-8"] * 4  # speed, comparison, traffic, prediction


def test_the_first_table_has_what_counts_and_marks_what_is_suspect(lines):
    speeds = {words[0]: words[1:] for words in reversed(lines(ROWS))}
    assert speeds["dsd"][:3] == ["*", "2/2", f"{speed(ROWS[:2]).estimate:.2f}"]
    assert speeds["dsd"][4:6] == ["2.50", "0.75"]
    assert speeds["dsd"][-1] == "suspect"
    assert speeds["device_only"][3:5] == ["–", "–"]
    assert speeds["dssd-8"] == ["0/1", *["–"] * 7, "invalid"]


def test_devices_that_decode_together_are_told_together_and_one_by_one(lines):
    rows = [
        row("dsd", device=name, seconds=seconds, start_s=start, prompt=prompt)
        for prompt in (0, 1)
        for name, seconds, start in (("device1", 4, 100), ("device2", 5, 101))
    ]
    told = [words for words in lines(rows) if words[0] == "dsd"]
    assert len(told) == 5
    assert told[0][1:3] == ["4/4", f"{speed(rows).estimate:.2f}"]  # what one device sees
    # Together: 20 tokens in 6 s, twice.
    assert told[1] == ["dsd", "4/4", "2", "3.33", "2.00", "2.50"]
    assert [words[0] for words in lines(ROWS)].count("dsd") == 4


@pytest.mark.parametrize(
    ("unit", "first", "faster", "alike"),
    [
        ("repeat", "–", "faster", "neither"),
        ("prompt", "this run only", "this run only", "this run only"),
    ],
)
def test_methods_are_compared_with_the_first_and_never_invalid_ones(
    lines, unit, first, faster, alike
):
    rows = [
        row(method, seconds=seconds * (1 + place), verdict=verdict, **{unit: place})
        for place in (0, 1, 2)
        for method, seconds, verdict in (
            ("dsd", 2, "valid"), ("dssd", 1, "valid"), ("qs", 9, "invalid"), ("tslt", 2, "suspect")
        )
    ]  # fmt: skip
    told = lines(rows)
    begin = next(place for place, words in enumerate(told) if words[0] == "compared")
    found = {words[0]: " ".join(words[1:]) for words in told[begin + 2 : begin + 6]}
    assert list(found) == ["dsd", "dssd", "qs", "tslt"]
    assert found["dsd"].startswith("3/3 2.75 ")  # the geometric mean of 5, 2.5 and 1.67
    assert found["dsd"].endswith(f" – – – {first}")
    assert found["dssd"].endswith(f" 3 2.00 2.00–2.00 {faster}")
    assert found["qs"] == "0/3 – – – – – –"
    assert found["tslt"].endswith(f" {alike}")


def test_results_of_before_there_were_devices_open_and_their_speed_is_the_same(tmp_path, lines):
    old = msgspec.to_builtins(ROW)
    del old["device"], old["start_s"]
    (tmp_path / "summary.json").write_bytes(summary(rows=[old]))
    assert open_results(tmp_path).summary().rows == [ROW]
    assert aggregate_speed([ROW]) == ROW.tokens_per_second


def test_waits_phases_and_places_are_told_where_they_are_known(lines):
    # What came together did not wait; of three tokens there are two waits, of 101 a hundred.
    times = [0.5, *(0.5 + 0.01 * n for n in range(1, 101))]
    phases = {phase: 0.02 * (1 + place) for place, phase in enumerate(PHASES)}
    rows = [
        row("dsd", token_s=times, round_s=[0.1 * n for n in range(40)], rejections=3, phases=phases,
            verified_per_position=[4, 3, 1], accepted_per_position=[3, 2, 1]),
        row("dssd", rejections=None, draft_passes=None),
        alone("device_only", token_s=[0.1, 0.4], round_s=[2.0], verification_rounds=0, rejections=0,
              phases=phases),
    ]  # fmt: skip
    told = lines(rows)
    dsd = [words[2:] for words in told if words[0] == "dsd"]
    assert dsd[1] == ["166.7", "100", "10.0", "10.0", "–"]
    assert dsd[2] == ["40", "1950.0", "3705.0", "–", "75"]
    assert dsd[3] == ["2.0", "4.0", "6.0", "8.0", "10.0", "12.0", "14.0", "16.0", "18.0", "2.143"]
    assert dsd[4] == ["3.00", "1.17", "0.75", "0.67", "1.00"]
    dssd = [words[2:] for words in told if words[0] == "dssd"]
    assert dssd[1:3] == [["166.7", "0", *"–––"], ["0", *"––––"]]
    assert dssd[0][3] == "–"  # an older result lacks the counts of acceptance
    alone_ = [words[2:] for words in told if words[0] == "device_only"]
    assert alone_[1][1:] == ["1", "–", "–", "–"]
    assert alone_[2] == ["0", *"––––"]
    assert len(alone_) == len(dsd) - 1  # it has no positions


def test_a_round_is_a_verification_in_every_table(lines):
    """Two of the 6 exchanges are `dssd_lazy`'s second exchange after a rejection."""
    told = [words[2:] for words in lines([row("dssd_lazy", rounds=6)]) if words[0] == "dssd_lazy"]
    assert told[0][2] == told[-1][1] == "2.50"


def test_energy_of_unknown_passes_is_not_made_up():
    energy = Energy(per_drafted_token="80mJ", per_bit="100nJ")
    rows = [row("csqs"), row("dsd", draft_passes=None)]
    table = energy_table([Sample(each.method, [each]) for each in rows], energy)
    assert table.rows == [
        ("csqs", "1/1", "112.00", "0.16", "112.16"),
        ("dsd", "1/1", "–", "0.16", "–"),
    ]


def test_traffic_is_in_bytes_per_token(lines):
    traffic = {words[0]: words[1:] for words in lines(ROWS) if words[-6:][0] in ("100", "0.0")}
    assert traffic["dsd"] == ["*", "2/2", "100", "120", "200", "1.0", "10.0", "50.0"]
    assert traffic["device_only"] == ["1/1", *["0.0"] * 6]


def test_predictions_stand_beside_what_was_measured(lines):
    rows = [
        row("dsd", predicted_tokens_per_second=10.0),
        row("dsd", prompt=1, tokens=30, predicted_tokens_per_second=15.0, predicted_on_air_s=0.3),
        alone("cloud_ar", verifier_compute_s=9.0, verify_s=4.0),
    ]
    dsd, cloud = (
        next(words[2:] for words in reversed(lines(rows)) if words[0] == name)
        for name in ("dsd", "cloud_ar")
    )
    assert dsd[:2] == ["2.60", "5.00"]  # tokens per round
    assert dsd[2:4] == [
        f"{each:.2f}" for each in (predicted_speed(rows[:2]), speed(rows[:2]).estimate)
    ]
    assert dsd[4:6] == ["583", "667"]  # bits per draft
    # 5 tokens a round save five cloud steps of 0.4 s; the device takes 0.1 s, the verifier 0.125 s,
    # the air 0.05 s. Reading the prompt, for which the cloud took 5 s, is saved by nobody.
    assert dsd[6] == "1,725"
    assert cloud[:2] == ["–", "–"]
    assert cloud[4:] == ["–", "–", "–"]


def test_each_point_of_a_sweep_has_tables_of_its_own(lines):
    printed = lines([row("dsd", point={"seed": seed}) for seed in (7, 8)])
    told = [words[0] if words[0] == "dsd" else words[words.index("seed") + 1]
            for words in printed if words[0] == "dsd" or "seed" in words]  # fmt: skip
    assert told == ["7", "dsd", "dsd", "dsd", "8", "dsd", "dsd", "dsd"]


def test_the_verdict_and_its_reasons_stand_below(lines):
    reason = "link radio up: [bold]12[/bold] packets " + "lost " * 60
    printed = lines(ROWS, reason, "second")
    assert printed[-3:] == [["verdict:", "invalid"], reason.split(), ["second"]]


def test_without_rows_there_is_still_a_verdict(lines):
    assert lines([], "the run stopped")[-2:] == [["verdict:", "valid"], ["the", "run", "stopped"]]
