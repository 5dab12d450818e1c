"""The time in which a connection sends lost bytes again."""

from __future__ import annotations

from functools import partial

import pytest

from testbed.simulation.connection import Connection
from testbed.simulation.tcp.end import TcpEnd
from testbed.simulation.tcp.settings import TcpSettings
from tests.simulation.streams import network, symmetric

DELAY = 0.05


class Lossy:
    """A connection whose host `device` loses those of its segments with data that are named."""

    def __init__(self, monkeypatch, lost):
        self.env, self.network = network("edge", 1, links={"radio": symmetric(delay=DELAY)})
        self.arrived, self.sent = [], []
        send = self.network.send

        def losing(host, frame):
            if host == "device" and frame.segment.length:
                self.sent.append((self.env.now, frame.segment.sequence))
                if len(self.sent) - 1 in lost:
                    return
            send(host, frame)

        monkeypatch.setattr(self.network, "send", losing)
        self.connection = Connection(
            self.env, self.network, "device", "base_station",
            identity=b"device",
            tcp=partial(TcpEnd, TcpSettings(congestion_control="cubic", mtu=1500)),
            at_device=lambda frames: None,
            at_verifier=lambda frames: self.arrived.append(self.env.now),
        )  # fmt: skip
        self.env.run(self.connection.opened)
        self.before = len(self.sent)
        self.env.run(until=1.0)

    def send(self, size):
        self.connection.send([bytes(size)])
        self.env.run(until=self.env.now + 5)
        return self.connection.recoveries


def opening(monkeypatch):
    """Return how many segments with data a connection takes to open."""
    with monkeypatch.context() as patch:
        return Lossy(patch, lost=()).before


def test_without_loss_there_is_none(monkeypatch):
    pair = Lossy(monkeypatch, lost=())
    assert pair.send(20_000) == {"up": [], "down": []}
    assert len(pair.arrived) == 1


@pytest.mark.parametrize("place", [0, 3, 13])
def test_it_lasts_from_the_lost_copy_to_the_one_that_arrived(monkeypatch, place):
    lost = opening(monkeypatch) + place
    pair = Lossy(monkeypatch, lost={lost})
    (span,) = pair.send(20_000)["up"]
    first, sequence = pair.sent[lost]
    again = [time for time, each in pair.sent if each == sequence]
    assert span == (round(first * 1e9), round(again[1] * 1e9))
    assert pair.connection.recoveries["down"] == []
    assert len(pair.arrived) == 1


def test_a_copy_that_is_lost_again_counts_until_the_last(monkeypatch):
    lost = opening(monkeypatch)
    pair = Lossy(monkeypatch, lost={lost, lost + 1})  # a single segment, and its probe
    (span,) = pair.send(100)["up"]
    assert span == tuple(round(time * 1e9) for time in (pair.sent[lost][0], pair.sent[lost + 2][0]))
