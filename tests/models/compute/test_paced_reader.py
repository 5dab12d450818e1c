"""Passes last as long as their pace, are traced, and have the logits of their reader."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from testbed.events import Tracer, read_events
from testbed.models.cached_reader import CachedReader
from testbed.models.compute import paced_reader as passes_module
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import Passes
from testbed.protocol.process_driver import generate
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import PROMPT, ToyModel, decode_locally, similar_models, task

PACE = Pace(per_pass=4e-3, per_token=1e-3)


class Clock:
    """A clock that advances only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic_ns(self) -> int:
        return round(self.now * 1e9)

    def sleep_until(self, moment: float) -> None:
        self.now = max(self.now, moment)

    def spend(self, seconds: float, result):
        self.now += seconds
        return result


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic_ns", clock.monotonic_ns)
    monkeypatch.setattr(passes_module, "sleep_until", clock.sleep_until)
    return clock


@pytest.fixture
def trace(tmp_path):
    with contextlib.closing(Tracer("device", tmp_path / "events.jsonl")) as trace:
        yield trace


def passes_of(trace, pace):
    return Passes(CachedReader(ToyModel(5, 1).session()), trace, "device/0", pace)


def written(trace, tmp_path):
    trace.flush()
    return read_events(tmp_path / "events.jsonl")


def test_a_pass_lasts_as_long_as_its_pace_however_long_its_body(clock, trace, tmp_path):
    passes = passes_of(trace, PACE)
    for text, body, wanted in (
        ([0, 1, 2], 0.002, 0.007),
        ([0, 1, 2, 3], 0.0, 0.005),
        ([0, 1, 4, 4], 0.010, 0.010),  # two new ones; late
    ):
        start = clock.now
        logits = passes.run(text, 1, lambda logits, body=body: clock.spend(body, logits)).value
        assert clock.now - start == pytest.approx(wanted)
        np.testing.assert_array_equal(logits[-1], ToyModel(5, 1).after(text))
    spans = written(trace, tmp_path)
    assert [(s["event"], s["tokens"], s["dur"]) for s in spans] == [
        ("forward", 3, 7_000_000), ("forward", 1, 5_000_000), ("forward", 2, 10_000_000),
    ]  # fmt: skip


def test_what_was_read_ahead_costs_nothing(clock, trace, tmp_path):
    passes = passes_of(trace, PACE)
    passes.run([0, 1, 2], 1, lambda logits: None)
    before = clock.now
    logits = passes.run([0, 1, 2], 1, lambda logits: logits).value
    assert clock.now == before
    np.testing.assert_array_equal(logits[-1], ToyModel(5, 1).after([0, 1, 2]))
    assert len(written(trace, tmp_path)) == 1


def test_without_a_pace_nobody_waits(clock, trace, tmp_path):
    passes = passes_of(trace, None)
    passes.run([0, 1], 1, lambda logits: clock.spend(0.003, logits))
    assert clock.now == pytest.approx(100.003)
    (span,) = written(trace, tmp_path)
    assert span["dur"] == pytest.approx(3e6, abs=1)


@pytest.mark.parametrize("method", ["dssd", "qs", "cloud_ar", "device_only", "tslt_tree"])
def test_a_paced_text_is_the_unpaced_one_and_both_ends_pay_for_each_pass(method, tmp_path):
    draft, target = similar_models(5)
    the_task = task(method, 12)
    device, verifier = tmp_path / "device.jsonl", tmp_path / "verifier.jsonl"
    server = VerifierServer(target, pace=Pace(2e-3, 0.5e-3))
    server.trace = Tracer("verifier", verifier)
    with contextlib.closing(Tracer("device", device)) as trace:
        paced = generate(
            the_task, PROMPT, draft, InProcessChannel(server), timeout=60, trace=trace, pace=PACE
        )
    server.trace.close()
    assert paced.tokens == decode_locally(the_task, draft, target).tokens
    for path, pace, span in ((device, PACE, "draft"), (verifier, server._pace, "verify")):
        events = read_events(path)
        forward = [event for event in events if event["event"] == "forward"]
        assert all(event["dur"] >= 1e9 * pace.seconds(event["tokens"]) for event in forward)
        # Whatever drafting or verifying there was, passes are the most of it.
        assert bool(forward) == any(event["event"] == span for event in events)
