"""Events exported as Chrome traces and Parquet."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import msgspec
import pytest

from testbed.analysis.export_chrome import chrome_trace
from testbed.analysis.export_parquet import write_parquet
from testbed.commands import results as results_commands
from testbed.errors import TestbedError
from tests.support.records import make_results, row

S = "device/0"
DEVICE = [
    {"node": "device", "event": "draft", "stream": S, "t": 1_000, "dur": 5_000, "round": 0},
    {"node": "device", "event": "send", "stream": S, "t": 7_000, "message": "Round", "round": 0,
     "bytes": 12},
    {"node": "device", "event": "receive", "stream": S, "t": 30_000, "message": "Reply", "round": 0,
     "part": 0, "bytes": 9},
    {"node": "device", "event": "send", "stream": S, "t": 31_000, "message": "Round", "round": 0},
]  # fmt: skip
VERIFIER = [
    {"node": "cloud", "event": "receive", "stream": S, "t": 9_000, "message": "Round", "round": 0},
    {"node": "cloud", "event": "verify", "stream": S, "t": 9_500, "dur": 9_000, "round": 0},
    {"node": "cloud", "event": "send", "stream": S, "t": 20_000, "message": "Reply", "round": 0,
     "part": 0},
]  # fmt: skip


def entries(kind):
    trace = json.loads(chrome_trace({"device": DEVICE, "cloud": VERIFIER}))
    return [entry for entry in trace["traceEvents"] if entry["ph"] == kind]


def test_every_event_is_a_slice_of_its_node_and_text():
    names = {entry["pid"]: entry["args"]["name"] for entry in entries("M") if entry["tid"] == 0}
    assert {entry["args"]["name"] for entry in entries("M")} == {"device", "cloud", S}
    assert set(names) == {0, 1}
    draft, *others = entries("X")
    assert (draft["name"], draft["ts"], draft["dur"], draft["args"]) == (
        "draft",
        1,
        5,
        {"round": 0},
    )
    assert len(others) == len(DEVICE) + len(VERIFIER) - 1
    assert all(entry["dur"] >= 1 for entry in others)
    assert others[0]["args"] == {"message": "Round", "round": 0, "bytes": 12}


def test_arrows_lead_from_each_message_to_where_it_came():
    starts = {entry["id"]: entry for entry in entries("s")}
    ends = {entry["id"]: entry for entry in entries("f")}
    pairs = [(starts[each], ends[each]) for each in sorted(starts.keys() & ends.keys())]
    assert [(start["ts"], end["ts"]) for start, end in pairs] == [(7, 9), (20, 30)]
    assert all(start["pid"] != end["pid"] for start, end in pairs)
    assert len(starts) == 3  # the last one never came
    assert len(ends) == 2


def test_a_parquet_file_has_a_line_for_every_event(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet({"dsd-0": DEVICE, "dssd-0": VERIFIER}, tmp_path / "x.parquet", "relay")
    lines = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert list(lines[0])[:6] == ["run", "node", "stream", "event", "t", "dur"]
    told = [{key: value for key, value in line.items() if value is not None} for line in lines]
    assert told == [
        *({"run": "dsd-0", "backend": "relay", **event} for event in DEVICE),
        *({"run": "dssd-0", "backend": "relay", **event} for event in VERIFIER),
    ]


def test_without_pyarrow_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TestbedError, match=r"pip install pyarrow does that$"):
        write_parquet({}, tmp_path / "x.parquet", "relay")
    assert not list(tmp_path.iterdir())


def results_with_events(folder):
    results = make_results(folder, [row("dsd")])
    run = results.run("dsd", 0)
    for path in run.glob("*.jsonl"):
        path.unlink()
    for name, events in (("device", DEVICE), ("cloud", VERIFIER)):
        (run / f"{name}.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(events))
    (run / "changes.radio.jsonl").write_text('{"scheduled": 1}\n')
    return results


def test_the_command_writes_a_trace_beside_each_run(tmp_path, capsys):
    results = results_with_events(tmp_path)
    assert results_commands._export(Namespace(results=results.path, format="chrome")) == 0
    path = results.run("dsd", 0) / "trace.json"
    assert path.read_bytes() == chrome_trace({"cloud": VERIFIER, "device": DEVICE})
    assert capsys.readouterr().out == f"{path}\n"


def test_the_command_writes_one_table_of_all_runs(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    results = results_with_events(tmp_path)
    assert results_commands._export(Namespace(results=results.path, format="parquet")) == 0
    table = parquet.read_table(results.path / "events.parquet")
    assert set(table.column("run").to_pylist()) == {"dsd-0"}
    assert table.num_rows == len(DEVICE) + len(VERIFIER)


def test_results_without_events_are_said_to_have_none(tmp_path):
    results = make_results(tmp_path, [row("dsd")])
    for path in results.path.glob("runs/*/*.jsonl"):
        path.unlink()
    with pytest.raises(TestbedError, match="no run there has written events"):
        results_commands._export(Namespace(results=results.path, format="chrome"))
