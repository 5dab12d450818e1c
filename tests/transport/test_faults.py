"""The protocol over a connection that loses, repeats and resets: the tokens stay the same."""

from __future__ import annotations

import random
from functools import partial

import pytest

from testbed.errors import TestbedError
from testbed.protocol.channel import LinkTimeout, Reconnected
from testbed.protocol.messages import (
    VERSION,
    Close,
    Refused,
    Round,
    from_frames,
    to_frames,
)
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import ToyModel, decode_locally, models, task
from tests.support.wire import decode_over

DRAFT, TARGET = models(20)


class FaultyChannel(InProcessChannel):
    """A channel that loses messages in both directions now and then, and repeats others."""

    def __init__(self, server, faults, restart=False):
        super().__init__(server)
        self.random = random.Random(5)
        self.faults = faults
        self.restart = restart
        self.broken = False
        self.breaks = 0

    def send(self, frames):
        if self.random.random() < self.faults:
            self.broken = True  # lost on the way up
            return
        super().send(frames)
        if self.random.random() < self.faults:
            super().send(frames)  # a copy

    def receive(self, timeout):
        frames = super().receive(timeout)
        if self.broken or frames is None or self.random.random() < self.faults:
            self.broken = False
            self.breaks += 1
            self._answers.clear()  # lost on the way down
            if self.restart:
                self._server._sessions.clear()
                self._server._work.clear()
            raise Reconnected
        return frames


@pytest.mark.parametrize("restart", [False, True], ids=["line breaks", "verifier restarts"])
@pytest.mark.parametrize("method", ["cloud_ar", "dsd", "dssd", "dssd_lazy"])
def test_faults_leave_the_text_alone(method, restart):
    the_task = task(method, 120)
    wanted = decode_locally(the_task, DRAFT, TARGET)
    faulty = partial(FaultyChannel, faults=0.05, restart=restart)
    got, channel = decode_over(faulty, the_task, DRAFT, TARGET)
    assert got.tokens == wanted.tokens
    assert got.counts == wanted.counts
    assert channel.breaks >= 3
    assert got.traffic.resends == channel.breaks
    assert got.traffic.up_bytes > wanted.traffic.up_bytes


class DeafChannel(InProcessChannel):
    def send(self, frames):
        pass


def test_a_silent_verifier_is_a_timeout_that_names_it():
    with pytest.raises(LinkTimeout, match="verifier did not answer round 0 within 5 s"):
        decode_locally(task("dsd", 5), DRAFT, TARGET, channel=DeafChannel)


class DamagingChannel(InProcessChannel):
    """A channel that cuts the last byte off each upload."""

    def send(self, frames):
        message, payload = from_frames(frames)
        super().send(to_frames(message, payload[:-1]) if isinstance(message, Round) else frames)


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_a_damaged_upload_is_refused(method):
    with pytest.raises(TestbedError, match=r"refused: .* ends inside"):
        decode_locally(task(method, 5), DRAFT, TARGET, channel=DamagingChannel)


def test_different_vocabularies_are_refused_by_name():
    with pytest.raises(TestbedError, match="draft model toy-1 and target model toy-2 have diff"):
        decode_locally(task("dsd", 5), ToyModel(19, 1), TARGET)


def refusal(frames):
    answers = list(VerifierServer(TARGET).handle(b"peer", frames))
    message, _ = from_frames(answers[0])
    assert isinstance(message, Refused)
    return message.reason


def test_strangers_are_refused():
    header, payload = to_frames(Close(VERSION + 1, 1))
    assert f"version {VERSION + 1}" in refusal([header, payload])
    assert "could not be read" in refusal([b"GET / HTTP/1.1", b""])
    assert "frames" in refusal([header])


def test_an_unfinished_text_is_forgotten_when_the_device_starts_another():
    server = VerifierServer(TARGET)

    class Same(InProcessChannel):
        def __init__(self, _):
            super().__init__(server)

    for _ in range(3):
        decode_locally(task("dsd", 5), DRAFT, TARGET, channel=Same)
    assert len(server._sessions) == 0


class GapChannel(InProcessChannel):
    """A channel that loses a few answers in the middle of a stream; later ones arrive."""

    def __init__(self, server):
        super().__init__(server)
        self.received = 0
        self.sent = 0

    def send(self, frames):
        self.sent += 1
        super().send(frames)

    def receive(self, timeout):
        self.received += 1
        if self.received % 40 == 0:
            for _ in range(3):
                super().receive(timeout)
            raise Reconnected
        return super().receive(timeout)


def test_a_gap_in_a_stream_is_asked_for_once():
    the_task = task("cloud_ar", 300)
    got, channel = decode_over(GapChannel, the_task, DRAFT, TARGET)
    assert got.tokens == decode_locally(the_task, DRAFT, TARGET).tokens
    assert got.traffic.resends >= 5
    assert channel.sent == 3 + got.traffic.resends  # Open, Round, Close


class NoCloseChannel(InProcessChannel):
    def send(self, frames):
        if isinstance(from_frames(frames)[0], Close):
            raise LinkTimeout("gone")
        super().send(frames)


def test_a_finished_text_survives_a_line_that_is_gone():
    got = decode_locally(task("dsd", 20), DRAFT, TARGET, channel=NoCloseChannel)
    assert len(got.tokens) == 20


class GarblingChannel(InProcessChannel):
    def send(self, frames):
        super().send([b"\xc1" + frames[0], frames[1]])


def test_what_the_verifier_cannot_read_is_said_at_once():
    with pytest.raises(TestbedError, match="refused: a message could not be read"):
        decode_locally(task("dsd", 5), DRAFT, TARGET, channel=GarblingChannel)


def test_a_message_too_large_is_not_sent(monkeypatch):
    monkeypatch.setattr("testbed.protocol.verifier_client.MAX_MESSAGE", 100)
    with pytest.raises(TestbedError, match="larger than verifier takes, 100 B"):
        decode_locally(task("dsd", 5), DRAFT, TARGET)


@pytest.mark.parametrize(
    ("method", "whose"), [("dsd", DRAFT), ("dsd", TARGET), ("cloud_ar", TARGET)]
)
def test_a_text_beyond_the_context_is_refused_before_the_first_token(monkeypatch, method, whose):
    monkeypatch.setattr(whose, "context_length", 11)
    decode_locally(task(method, 10), DRAFT, TARGET)  # 12 tokens, of which 11 are read
    with pytest.raises(TestbedError, match=f"13 tokens, but model {whose.name} reads at most 11"):
        decode_locally(task(method, 11), DRAFT, TARGET)


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(TestbedError, match="the prompt has no tokens"):
        decode_locally(task("dsd", 5), DRAFT, TARGET, prompt=())
