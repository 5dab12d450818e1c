"""Event files: written events can be read back at once, also after failures."""

from __future__ import annotations

import contextlib
import time

import msgspec
import pytest

from testbed.errors import TestbedError
from testbed.events import Tracer, events_by_stream, read_events


def test_events_come_back_in_order_with_their_fields(tmp_path):
    path = tmp_path / "device.jsonl"
    before = time.monotonic_ns()
    with contextlib.closing(Tracer("device", path)) as trace:
        trace.event("send", "device/0", bytes=7, message="Open")
        trace.event("note", "device/1", text='a "b"\n\r\u2028é', nested={"x": [1, None]})
    after = time.monotonic_ns()
    first, second = read_events(path)
    assert before <= first["t"] <= second["t"] <= after
    del first["t"], second["t"]
    assert first == {
        "node": "device", "event": "send", "stream": "device/0", "bytes": 7, "message": "Open",
    }  # fmt: skip
    assert second == {
        "node": "device", "event": "note", "stream": "device/1",
        "text": 'a "b"\n\r\u2028é', "nested": {"x": [1, None]},
    }  # fmt: skip


def test_a_span_tells_when_its_body_began_and_how_long_it_took(tmp_path):
    path = tmp_path / "device.jsonl"
    trace = Tracer("device", path)
    before = time.monotonic_ns()
    with trace.span("draft", "device/0", round=3):
        began = time.monotonic_ns()
        time.sleep(0.01)
        trace.event("inside", "device/0")
        ended = time.monotonic_ns()
    after = time.monotonic_ns()
    trace.flush()
    inside, span = read_events(path)  # the file is not closed yet
    assert before <= span["t"] <= began
    assert ended - began <= span["dur"] <= after - before
    assert span["t"] <= inside["t"] <= span["t"] + span["dur"]
    assert (span["event"], span["round"], span["node"]) == ("draft", 3, "device")
    assert "dur" not in inside


def test_a_span_is_recorded_when_its_body_fails(tmp_path):
    path = tmp_path / "device.jsonl"
    trace = Tracer("device", path)
    with pytest.raises(KeyError, match="gone"), trace.span("verify", "device/0"):
        raise KeyError("gone")
    trace.flush()
    (span,) = read_events(path)
    assert span["event"] == "verify"
    assert span["dur"] >= 0


def test_a_second_tracer_continues_the_file(tmp_path):
    path = tmp_path / "device.jsonl"
    for number in (1, 2):
        with contextlib.closing(Tracer("device", path)) as trace:
            trace.event("begin", "", number=number)
    assert [event["number"] for event in read_events(path)] == [1, 2]
    with pytest.raises(ValueError, match="closed"):
        trace.event("late", "")


def test_without_a_path_nothing_is_kept():
    with contextlib.closing(Tracer("device")) as trace, trace.span("draft", "device/0"):
        trace.event("send", "device/0")


def test_an_empty_file_has_no_events(tmp_path):
    (tmp_path / "x.jsonl").touch()
    assert read_events(tmp_path / "x.jsonl") == []


def test_events_of_each_text_from_a_time_on(tmp_path):
    path = tmp_path / "x.jsonl"
    a1, b2, a3 = (
        {"node": "x", "event": "commit", "t": t, "stream": stream}
        for t, stream in ((1, "a"), (2, "b"), (3, "a"))
    )
    lines = msgspec.json.Encoder().encode_lines((a1, b2, a3))
    path.write_bytes(lines)
    assert events_by_stream(path) == {"a": [a1, a3], "b": [b2]}
    assert events_by_stream(path, since=3) == {"a": [a3]}


def test_a_truncated_line_is_named_unless_the_file_may_still_grow(tmp_path):
    path = tmp_path / "x.jsonl"
    event = {"node": "x", "event": "commit", "t": 1, "stream": "a"}
    path.write_bytes(msgspec.json.encode(event) + b'\n{"node": "x", "ev')
    assert read_events(path, growing=True) == [event]
    assert events_by_stream(path, growing=True) == {"a": [event]}
    for read in (read_events, events_by_stream):
        with pytest.raises(TestbedError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: line 2 is cut off; restore the file, or remove it"
