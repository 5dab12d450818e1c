"""The time-out of a relay depends on its request; these tests carry no packets."""

import subprocess
import threading
from types import SimpleNamespace

import pytest

from testbed import clock
from testbed.audit import link_counters
from testbed.audit.checks.packet_logs import judge_packets
from testbed.audit.link_counters import LinkAudit
from testbed.audit.packet_logs import read_packets
from testbed.emulation import relay, relay_wire
from testbed.emulation.relay_direction import Direction
from testbed.emulation.relay_wire import RelayWire
from testbed.errors import TestbedError
from testbed.host.realtime import PATIENCE, patience
from testbed.links.keyed_random import RandomKey
from testbed.links.round_trip import longest_round_trip
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex, LinkSpec


class Time:
    """A clock that only `sleep` advances."""

    def __init__(self, monkeypatch, *modules):
        self.now = 100.0
        monkeypatch.setattr(clock, "now", lambda: self.now)
        for module in modules:
            monkeypatch.setattr(module, "time", SimpleNamespace(sleep=self.sleep))

    def sleep(self, seconds):
        self.now += seconds


def wire(duplex, script="exec sleep 600"):
    """Return a wire whose relay is a shell script."""
    found = RelayWire.__new__(RelayWire)
    found.name, found.duplex, found._lock = "radio", duplex, threading.Lock()
    found._round_trip = longest_round_trip(duplex, Schedule())
    pipe = subprocess.PIPE
    found._process = subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe)
    return found


@pytest.fixture
def started():
    wires = []

    def start(*arguments):
        wires.append(wire(*arguments))
        return wires[-1]

    yield start
    for each in wires:
        each._process.kill()
        each._process.communicate()


# --- what it reads --------------------------------------------------------------------------------


def test_patience_grows_with_what_is_to_be_read(started, tmp_path, monkeypatch):
    trace = tmp_path / "large.mm"
    with trace.open("wb") as file:
        file.truncate(14_000_000)  # 1 Gbit/s for 30 s
    asked = []

    def select(*arguments):
        asked.append(arguments[-1])
        return [], [], []

    monkeypatch.setattr(relay_wire, "select", SimpleNamespace(select=select))
    radio = started(Duplex(LinkSpec(), LinkSpec()))
    for request in ({"stats": True}, {"set": {"up": {"rate": {"mahimahi": str(trace)}}}}):
        with pytest.raises(TestbedError, match=r"^the relay of link radio has not answered for "):
            radio._ask(request)
    assert PATIENCE <= asked[0] < PATIENCE + 1
    assert asked[1] > patience(2 * 14_000_000) > 2 * asked[0]  # each direction reads it


def test_a_relay_that_falls_silent_and_does_not_end_is_named_all_the_same(started, monkeypatch):
    monkeypatch.setattr(relay_wire, "PATIENCE", 0.1)
    radio = started(Duplex(LinkSpec(), LinkSpec()), "exec >&-; exec sleep 600")
    with pytest.raises(
        TestbedError,
        match=r"^the relay of link radio closed its output \(it did not end within 0\.1 s\)$",
    ):
        radio._ask({"stats": True})


def test_a_relay_that_was_killed_is_said_to_have_been(started):
    radio = started(Duplex(LinkSpec(), LinkSpec()), "kill -9 $$")
    with pytest.raises(TestbedError, match=r"^the relay of link radio died \(signal SIGKILL\)$"):
        radio._ask({"stats": True})


def test_logs_are_asked_for_until_they_are_whole(started, monkeypatch):
    radio = started(Duplex(LinkSpec(), LinkSpec()))
    answers = [False, False, True]
    monkeypatch.setattr(radio, "_ask", lambda _request: {"whole": answers.pop(0)})
    radio.end_logs()
    assert answers == []


# --- what the link does ---------------------------------------------------------------------------


def test_packets_may_wait_as_long_as_the_link_was_asked_to_let_them(started, monkeypatch):
    slow = LinkSpec(rate=64e3, queue=64 * 1024)  # a full queue takes 8.2 s
    time = Time(monkeypatch, relay_wire)
    radio = started(Duplex(slow, LinkSpec()))
    monkeypatch.setattr(radio, "_ask", lambda _request: {"waiting": time.now < 110})
    radio.restart(0, None)
    assert time.now == pytest.approx(110, abs=0.1)
    monkeypatch.setattr(radio, "_ask", lambda _request: {"waiting": 1})
    with pytest.raises(
        TestbedError, match=r"^packets have waited at link radio for 13\.4 s on end, so that its "
    ):
        radio.restart(0, None)


class Port:
    """A port without an interface: `frames` come in, `sent` holds the frames sent."""

    def __init__(self):
        self.frames, self.sent = [], []
        self.socket = SimpleNamespace(send=self.sent.append)

    def receive(self):
        if not self.frames:
            raise BlockingIOError
        return clock.now(), self.frames.pop(0)

    def drops(self):
        return 0


@pytest.fixture
def make_direction(monkeypatch):
    def build(spec):
        time, source, target = Time(monkeypatch), Port(), Port()
        return Direction(source, target, spec, RandomKey(1, "radio", "up")), source, target, time

    return build


def take_in(direction, source, *frames):
    source.frames += frames
    direction.take_in()


def test_a_packet_that_only_its_delay_holds_does_not_hold_up_a_restart(make_direction, tmp_path):
    direction, source, target, time = make_direction(LinkSpec(delay=3))
    first, second = bytes(60), bytes(70)
    take_in(direction, source, first)
    direction.send_due()
    assert (direction.waiting, direction.in_flight) == (0, 1)
    direction.restart(direction.spec, 1, str(tmp_path / "log.gz"))
    time.sleep(1)
    take_in(direction, source, second)
    direction.send_due()
    assert (direction.waiting, direction.in_flight) == (0, 2)
    assert direction.next_event() == 103
    assert target.sent == []
    time.sleep(2)
    direction.send_due()
    assert target.sent == [first]
    time.sleep(1)
    direction.send_due()
    assert target.sent == [first, second]
    assert direction.next_event() is None
    stats = direction.stats()
    assert (stats["received_packets"], stats["forwarded_packets"], stats["queued"]) == (2, 2, 0)
    direction.close_log()
    # The first one is in no log, and the second one is packet 0 of its own.
    assert judge_packets(tmp_path / "log.gz") == []
    _, packet, end = read_packets(tmp_path / "log.gz")
    assert (packet.n, packet.size) == (0, 70)
    assert (end.received, end.forwarded, end.in_flight) == (1, 1, 0)


def test_a_packet_that_waits_to_be_sent_holds_up_a_restart(make_direction):
    direction, source, _, time = make_direction(LinkSpec(rate=8e3, delay=3))
    take_in(direction, source, bytes(1000))
    assert direction.waiting == 1
    time.sleep(1)
    direction.send_due()
    assert (direction.waiting, direction.in_flight) == (0, 1)


@pytest.mark.parametrize(("round_trip", "still"), [(0.0, 105.0), (6.0, 111.0), (60.0, 115.0)])
def test_the_last_acknowledgement_is_waited_for_as_long_as_it_may_take(
    monkeypatch, round_trip, still
):
    time = Time(monkeypatch, link_counters)

    def counters():
        direction = SimpleNamespace(queued_packets=int(time.now < 115), received_packets=1)
        return SimpleNamespace(up=direction, down=direction)

    link = SimpleNamespace(name="radio", node1="device", node2="base_station")
    network = SimpleNamespace(
        wires={"radio": SimpleNamespace(counters=counters)}, longest_round_trip=lambda: round_trip
    )
    LinkAudit(network, [link], []).settle()
    assert time.now == pytest.approx(still, abs=0.3)


# --- schedules ------------------------------------------------------------------------------------


def test_what_does_not_change_in_a_schedule_is_read_once(monkeypatch):
    read = []

    def parse(mapping, where):
        read.append(where)
        return LinkSpec(delay=mapping["delay"])

    monkeypatch.setattr(relay.LinkSpec, "parse", parse)
    moments = [
        {"time": float(n), "up": {"delay": float(n)}, "down": {"delay": 7.0}, "held": False}
        for n in range(10)
    ]
    schedule = relay.read_moments({"moments": moments, "on_first_packet": True})
    assert (read.count("up"), read.count("down")) == (10, 1)
    assert [moment.up.delay for moment in schedule.moments] == [float(n) for n in range(10)]
    assert {moment.down.delay for moment in schedule.moments} == {7.0}
