"""The clock of an experiment and its users: nodes, models, policies, ZeroMQ."""

from __future__ import annotations

import argparse
import time

import pytest
import zmq

from nodes.arguments import parser
from testbed import clock
from testbed.drafting import base as drafting
from testbed.events import Tracer, read_events
from testbed.methods import base as methods
from testbed.models.compute import paced_reader
from testbed.models.compute.pace import Pace
from testbed.protocol.process_driver import generate
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel
from testbed.transport.zmq_client import harden, send_heartbeats
from testbed.transport.zmq_server import detect_dead_peers
from tests.support.toy import PROMPT, similar_models, task


@pytest.fixture
def dilated():
    """Return a function that sets the dilation for this test."""
    yield clock.set_dilation
    clock.set_dilation(1.0)


def test_emulated_time_is_real_time_over_the_dilation(dilated, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    monkeypatch.setattr(time, "monotonic_ns", lambda: 2**60 + 1)
    assert (clock.now(), clock.now_ns(), clock.dilation()) == (50.0, 2**60 + 1, 1.0)
    dilated(4.0)
    assert (clock.now(), clock.now_ns(), clock.dilation()) == (12.5, 2**58, 4.0)
    assert clock.real(3.0) == 12.0
    assert clock.emulated(3.0) == 0.75


def test_a_node_uses_the_dilation_of_its_configuration(dilated):
    parser(None).parse_args(["--model", "x"])
    assert clock.dilation() == 1
    parser(None).parse_args(["--model", "x", "--time-dilation", "2.5"])
    assert clock.dilation() == 2.5
    for text in ("0.5", "101", "nan"):
        with pytest.raises((SystemExit, argparse.ArgumentTypeError)):
            parser(None).parse_args(["--model", "x", "--time-dilation", text])


def test_zeromq_gets_real_time(dilated):
    context = zmq.Context()
    try:
        received = []
        for factor in (1.0, 5.0):
            dilated(factor)
            socket = context.socket(zmq.DEALER)
            harden(socket)
            send_heartbeats(socket, 60.0)
            times = [socket.sndtimeo, socket.heartbeat_ivl, socket.heartbeat_timeout,
                     socket.handshake_ivl, socket.reconnect_ivl]  # fmt: skip
            detect_dead_peers(socket, 60.0)
            received.append([*times, socket.tcp_maxrt, socket.tcp_keepalive_idle * 1000])
        assert received[0] == [60_000, 5_000, 60_000, 30_000, 100, 60_000, 10_000]
        assert received[1] == [5 * each for each in received[0]]
    finally:
        context.destroy(linger=0)


class Real:
    """Real time that advances only in sleep and in a model's passes."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep_until(self, moment: float) -> None:
        self.now = max(self.now, moment)


class Spy(drafting.DraftLength):
    """A policy that drafts three tokens and records its observations."""

    def __init__(self) -> None:
        self.outcomes: list[drafting.RoundOutcome] = []

    def more(self, drafts):
        return len(drafts) < 3

    def learn(self, outcome):
        self.outcomes.append(outcome)


@pytest.mark.parametrize("method", ["dssd", "qs"])
def test_what_a_policy_learns_and_what_is_traced_does_not_depend_on_the_dilation(
    method, dilated, monkeypatch, tmp_path
):
    real = Real()
    monkeypatch.setattr(time, "monotonic", lambda: real.now)
    monkeypatch.setattr(time, "monotonic_ns", lambda: round(real.now * 1e9))
    monkeypatch.setattr(paced_reader, "sleep_until", real.sleep_until)
    learnt, traced, took = [], [], []
    for factor in (1.0, 4.0):
        dilated(factor)
        real.now = 100.0 * factor
        spy = Spy()
        monkeypatch.setattr(methods, "start_policy", lambda option, spy=spy: spy)
        draft, target = similar_models(5)
        path = tmp_path / f"{factor}.jsonl"
        server = VerifierServer(target, pace=Pace(8e-3, 1e-3))
        decoded = generate(
            task(method, 12), PROMPT, draft, InProcessChannel(server), timeout=60,
            trace=Tracer("device", path), pace=Pace(3e-3, 1e-3),
        )  # fmt: skip
        learnt.append(
            [(o.draft_s, o.wait_s, o.verifier_s, o.drafted, o.uplink_bytes) for o in spy.outcomes]
        )
        traced.append([(event["t"], event.get("dur")) for event in read_events(path)])
        took.append((decoded.times, real.now - 100.0 * factor))
    for slow, plain in zip(learnt[1], learnt[0], strict=True):
        assert slow == pytest.approx(plain, abs=2e-6)  # the verifier tells whole microseconds
    assert learnt[0][1][0] == pytest.approx(3 * 4e-3, abs=2e-3)  # three passes, or one more token
    for (t, dur), (plain_t, plain_dur) in zip(traced[1], traced[0], strict=True):
        assert abs(t - plain_t) <= 10
        assert (dur is None) == (plain_dur is None)
        assert dur is None or abs(dur - plain_dur) <= 10
    assert took[1][0] == pytest.approx(took[0][0])
    assert took[1][1] == pytest.approx(4 * took[0][1])
