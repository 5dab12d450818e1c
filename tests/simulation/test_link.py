"""Links in virtual time do to packets what the relay does: same fates, same times, same sums."""

from __future__ import annotations

import random

import pytest
import simpy

from testbed.errors import TestbedError
from testbed.links.schedule import Schedule
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.simulation.link import ShapedLink
from tests.simulation.driven_relay import DrivenRelay

SLOW = {"rate": "2mbit", "delay": "20ms"}
SPECS = {
    "unlimited": {},
    "rate": SLOW,
    "short queue": {**SLOW, "queue": "5KiB"},
    "packets": {**SLOW, "queue": "4packets"},
    "seconds": {**SLOW, "queue": "30ms"},
    "codel": {**SLOW, "queue": {"limit": "64KiB", "discipline": "codel"}},
    "round robin": {**SLOW, "queue": {"limit": "10KiB", "discipline": "round_robin"}},
    "loss": {**SLOW, "loss": "10%"},
    "bursts": {"loss": {"mean": "20%", "burst": 5}},
    "corrupt": {**SLOW, "corrupt": "20%"},
    "duplicate": {**SLOW, "duplicate": "20%"},
    "reorder": {**SLOW, "reorder": "20%"},
    "jitter": {**SLOW, "jitter": "15ms"},
    "correlated": {"delay": "30ms", "jitter": {"spread": "5ms", "law": "pareto",
                                               "correlation": "50%"}},
    "mtu": {"mtu": "1000B"},
    "all": {**SLOW, "loss": "2%", "corrupt": "5%", "duplicate": "5%", "reorder": "5%",
            "jitter": "5ms"},
}  # fmt: skip
CHANGES = {
    "step": [{"at": "0.5s", "up": {"rate": "1mbit"}, "down": {"delay": "5ms"}}],
    "at once": [{"at": "0s", "up": {"rate": "1mbit", "loss": "20%"}}],
    "ramp": [{"at": "0.3s", "over": "1s", "up": {"rate": "8mbit"}, "down": {"delay": "60ms"}}],
    "outage": [{"at": "0.4s", "outage": "0.5s"}],
    "flap": [{"at": "0.2s", "flap": {"down": "100ms", "up": "150ms", "times": 5}}],
    "handover": [{"at": "0.5s", "handover": "300ms", "up": {"rate": "5mbit"}}],
    "standstill": [{"at": "0.5s", "up": {"rate": "0bit"}}, {"at": "1s", "up": {"rate": "4mbit"}}],
    "discipline": [{"at": "0.5s", "up": {"queue": {"limit": "8KiB", "discipline": "codel"}}}],
}


def packets(seed=1, count=300, seconds=2.0, start=0.0):
    """Return arrivals as (time, direction, frame): bursts both ways, from several addresses."""
    draw = random.Random(seed)
    found, time = [], start
    for _ in range(count):
        if draw.random() < 0.2:
            time += draw.expovariate(0.2 * count / seconds)
        time += draw.uniform(1e-6, 1e-4)
        size = draw.choice([60, 66, 500, 1514])
        header = b"\0" * 12 + b"\x08\x00" + b"\0" * 12 + bytes([10, 0, 0, draw.randrange(3)] * 2)
        payload = draw.randbytes(size - len(header))
        found.append((time, draw.choice(["up", "up", "down"]), header + payload))
    return found


class VirtualLink:
    """A shaped link with lists at its ends."""

    def __init__(self, name, duplex, seed, schedule):
        self.env = simpy.Environment()
        self.sent = {"up": [], "down": []}
        deliver = tuple(
            lambda frame, to=self.sent[each]: to.append((self.env.now, frame)) for each in self.sent
        )
        self.link = ShapedLink(self.env, name, duplex, deliver, seed=seed, schedule=schedule)

    def arrive(self, time, direction, frame):
        self.run_until(time)
        getattr(self.link, f"carry_{direction}")(frame)

    def run_until(self, time):
        self.env.run(until=self.env.timeout(time - self.env.now))


def compare(virtual, relay):
    """Require both links to have sent the same frames at the same times, and to count the same."""
    for direction, port in (("up", relay.far), ("down", relay.device)):
        got, expected = virtual.sent[direction], port.sent
        assert [frame for _, frame in got] == [frame for _, frame in expected]
        assert [time for time, _ in got] == pytest.approx([time for time, _ in expected], abs=1e-9)
        mine = getattr(virtual.link, direction)
        stats = getattr(relay, direction).stats()
        assert {**mine.counts.to_mapping(), "queued": mine.in_flight} == {
            key: value for key, value in stats.items() if key not in ("lateness", "socket_drops")
        }
        counts = mine.counts
        assert counts.received_packets + counts.duplicated == (
            counts.forwarded_packets + counts.dropped.total() + mine.in_flight
        )
    assert virtual.link.began == relay.relay._cursor.began
    applied = relay.relay._cursor.applied
    assert [each.scheduled for each in virtual.link.applied] == [each.scheduled for each in applied]
    for each in virtual.link.applied:
        assert each.applied == pytest.approx(each.scheduled, abs=1e-9)


def both(monkeypatch, up, down, schedule, seed=5):
    duplex = Duplex(LinkSpec.parse(up, "up"), LinkSpec.parse(down, "down"))
    schedule = schedule(duplex)
    return VirtualLink("radio", duplex, seed, schedule), DrivenRelay(
        monkeypatch, "radio", duplex, seed, schedule
    )


def run(virtual, relay, arrivals, end=4.0):
    for time, direction, frame in arrivals:
        virtual.arrive(time, direction, frame)
        relay.arrive(virtual.env.now, direction, frame)
    virtual.run_until(end)
    relay.run_until(end)


@pytest.mark.parametrize("name", SPECS)
def test_each_impairment(monkeypatch, name):
    virtual, relay = both(monkeypatch, SPECS[name], SPECS["rate"], lambda _: Schedule())
    run(virtual, relay, packets())
    compare(virtual, relay)
    assert virtual.link.up.in_flight == 0
    assert virtual.sent["up"] and virtual.sent["down"]


@pytest.mark.parametrize("start", ["run", "first_packet"])
@pytest.mark.parametrize("name", CHANGES)
def test_each_kind_of_change(monkeypatch, name, start):
    virtual, relay = both(
        monkeypatch, SPECS["all"], SPECS["rate"],
        lambda duplex: read_schedule(duplex, start, CHANGES[name], {}, "links.radio"),
    )  # fmt: skip
    virtual.link.begin()
    relay.begin()
    run(virtual, relay, packets(start=0.4))
    compare(virtual, relay)
    assert virtual.link.applied
    virtual.link.begin()
    relay.begin()
    run(virtual, relay, packets(seed=2, count=100, start=virtual.env.now + 0.1), end=8.0)
    compare(virtual, relay)


def test_traces_of_deliveries_and_of_rates(monkeypatch, tmp_path):
    (tmp_path / "up.trace").write_text("".join(f"{ms}\n" for ms in (3, 3, 10, 40, 41, 41, 90)))
    (tmp_path / "down.csv").write_text("time (s),rate (mbit)\n0,1\n0.5,0\n0.9,4\n")
    trace = {"rate": {"mahimahi": str(tmp_path / "up.trace")}, "delay": "5ms"}
    for start in ("run", "first_packet"):
        virtual, relay = both(
            monkeypatch, trace, {"delay": "10ms"},
            lambda duplex, start=start: read_schedule(
                duplex, start, [], {"down": str(tmp_path / "down.csv")}, "links.radio"
            ),
        )  # fmt: skip
        run(virtual, relay, [], end=0.0123)
        virtual.link.begin()
        relay.begin()
        run(virtual, relay, packets(count=200, start=0.1))
        compare(virtual, relay)


def test_a_restart_draws_by_the_repetition_and_lets_delayed_packets_out(monkeypatch):
    fates, shorter = {}, [{"at": "0.2s", "up": {"delay": "10ms"}}]
    for repetition in (1, 2):
        virtual, relay = both(
            monkeypatch, {"delay": "30ms", "loss": "20%"}, SPECS["rate"],
            lambda duplex: read_schedule(duplex, "run", shorter, {}, "links.radio"),
        )  # fmt: skip
        virtual.link.begin()
        relay.begin()
        earlier = [(time, "up", frame) for time, _, frame in packets(seed=7, count=50)]
        run(virtual, relay, earlier, end=earlier[-1][0] + 1e-4)
        assert virtual.link.up.in_flight
        virtual.link.restart(repetition)
        relay.restart(repetition)
        run(virtual, relay, packets(seed=8, count=100, start=virtual.env.now + 0.01), end=6.0)
        compare(virtual, relay)
        fates[repetition] = [frame for _, frame in virtual.sent["up"]]
    assert fates[1] != fates[2]


def test_a_run_does_not_begin_while_packets_wait(monkeypatch):
    virtual, _ = both(monkeypatch, {"rate": "1mbit"}, {}, lambda _: Schedule())
    for _, _, frame in packets(count=3):
        virtual.link.carry_up(frame)
    with pytest.raises(TestbedError, match=r"^link radio: 3 packets still wait, so that a run"):
        virtual.link.restart(1)
    virtual.env.run()
    virtual.link.restart(1)
