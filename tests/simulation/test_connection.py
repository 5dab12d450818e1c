"""ZeroMQ on TCP in virtual time: messages whole and in order, and the bytes around them."""

from __future__ import annotations

import pytest
import simpy

from testbed.simulation.connection import Connection
from testbed.simulation.inbox import Inbox
from testbed.simulation.overhead import NO_OVERHEAD, HostOverhead
from tests.simulation.instant_tcp import InstantTcp
from tests.simulation.streams import network, symmetric

DELAY = 0.05
IDENTITY = b"device-0badcafe"
HEADERS = 66
UP_GREETING = [10, 54, 43 + len(IDENTITY)]
DOWN_GREETING = [11, 53, 43]
PING, PONG = 9, 7


class Pair:
    """A connection over one link, with the messages that have arrived at each end."""

    def __init__(self, topology="edge", devices=1, device="device", **options):
        links = options.pop("links", {"radio": symmetric(delay=DELAY)})
        self.env, self.network = network(topology, devices, links=links)
        self.ends = []
        self.at_device, self.at_verifier = Inbox(self.env), Inbox(self.env)
        self.connection = self.connect(device, self.at_device, self.at_verifier, **options)

    def connect(self, device, at_device, at_verifier, **options):
        return Connection(
            self.env,
            self.network,
            device,
            "base_station",
            identity=IDENTITY,
            tcp=self._tcp,
            at_device=lambda frames: at_device.put((self.env.now, frames)),
            at_verifier=lambda frames: at_verifier.put((self.env.now, frames)),
            **options,
        )

    def segments(self):
        """Return the bytes of each segment that the two ends have sent."""
        return [end.segments for end in self.ends]

    def _tcp(self, send, deliver):
        self.ends.append(InstantTcp(send, deliver))
        return self.ends[-1]


def received(inbox):
    return list(inbox._items)


def test_it_opens_after_three_round_trips():
    pair = Pair()
    pair.env.run(pair.connection.opened)
    assert pair.env.now == pytest.approx(6 * DELAY)
    pair.env.run(until=1)
    assert pair.segments() == [UP_GREETING, DOWN_GREETING]
    link = pair.network.links["radio"]
    assert link.up.counts.received_bytes == sum(UP_GREETING) + 4 * HEADERS
    assert link.down.counts.received_bytes == sum(DOWN_GREETING) + 4 * HEADERS


def test_messages_arrive_whole_in_order_and_as_they_are():
    pair = Pair(links={"radio": symmetric(delay=DELAY, rate=1e6)})
    pair.env.run(pair.connection.opened)
    began = pair.env.now
    up = [[b"h" * 24, b"x" * 20000], [b"", b"y"], [b"z" * 300]]
    down = [[b"a"], [b"b" * 9000]]
    for frames in up:
        pair.connection.send(frames)
    for frames in down:
        pair.connection.answer(frames)
    pair.env.run(until=began + 1)
    for inbox, expected in ((pair.at_verifier, up), (pair.at_device, down)):
        got = received(inbox)
        assert all(each is sent for (_, each), sent in zip(got, expected, strict=True))
        assert [time for time, _ in got] == sorted(time for time, _ in got)
    first = 5 * [1448] + [952] + 8 * [1448] + [259]
    assert pair.segments()[0] == [*UP_GREETING, *first, 5, 309]
    assert pair.segments()[1] == [*DOWN_GREETING, 3, *5 * [1448], 952, 817]
    # The device's READY is still being sent, for as long as it is longer than the verifier's.
    size = sum(first) + HEADERS * len(first) + UP_GREETING[-1] - DOWN_GREETING[-1]
    assert received(pair.at_verifier)[0][0] == pytest.approx(began + size * 8 / 1e6 + DELAY)


def test_the_device_sends_heartbeats_and_the_verifier_answers():
    pair = Pair()
    pair.env.run(pair.connection.opened)
    began = pair.env.now
    for beats in (0, 1, 2):
        pair.env.run(until=began + 5 * beats + 1)
        assert pair.segments() == [UP_GREETING + beats * [PING], DOWN_GREETING + beats * [PONG]]
    assert received(pair.at_device) == received(pair.at_verifier) == []


def test_hosts_add_their_overhead_to_messages_only():
    overhead = HostOverhead(0.003, 0.004, "a test")
    times = {}
    for name, each in (("with", overhead), ("without", NO_OVERHEAD)):
        pair = Pair(overhead=each)
        pair.env.run(pair.connection.opened)
        times[name] = [pair.env.now]
        pair.connection.send([b"first"])
        pair.connection.send([b"second"])
        pair.env.run(until=1)
        times[name] += [time for time, _ in received(pair.at_verifier)]
        assert [frames for _, frames in received(pair.at_verifier)] == [[b"first"], [b"second"]]
    opened, *arrived = times["with"]
    assert opened == times["without"][0]
    assert arrived == pytest.approx([time + 0.007 for time in times["without"][1:]])


@pytest.mark.parametrize("overhead", [NO_OVERHEAD, HostOverhead(0.01, 0.01, "a test")])
def test_a_closed_connection_does_nothing_more(overhead):
    pair = Pair(overhead=overhead)
    pair.env.run(pair.connection.opened)
    pair.connection.send([b"under way"])
    pair.env.run(until=pair.env.now + 0.005)
    pair.connection.answer([b"not sent yet"])
    pair.connection.close()
    pair.connection.send([b"too late"])
    sent = [len(each) for each in pair.segments()]
    pair.env.run()
    assert pair.env.now < 6  # no heartbeat keeps it going
    assert received(pair.at_verifier) == received(pair.at_device) == []
    assert [len(each) for each in pair.segments()] == sent
    assert pair.network.in_flight == 0


def test_a_message_that_the_host_still_handles_is_dropped_with_the_connection():
    pair = Pair(overhead=HostOverhead(0.0, 0.01, "a test"))
    pair.env.run(pair.connection.opened)
    pair.connection.send([b"arrives"])
    pair.env.run(until=pair.env.now + DELAY + 0.005)
    assert pair.network.links["radio"].up.in_flight == 0
    pair.connection.close()
    pair.env.run()
    assert received(pair.at_verifier) == []


def test_each_device_has_a_connection_of_its_own():
    pair = Pair("cell", 2, "device1")
    other_device, other_verifier = Inbox(pair.env), Inbox(pair.env)
    other = pair.connect("device2", other_device, other_verifier)
    pair.env.run(pair.connection.opened & other.opened)
    pair.connection.send([b"one"])
    other.send([b"two"])
    other.answer([b"back"])
    pair.env.run(until=1)
    assert [frames for _, frames in received(pair.at_verifier)] == [[b"one"]]
    assert [frames for _, frames in received(other_verifier)] == [[b"two"]]
    assert [frames for _, frames in received(other_device)] == [[b"back"]]
    assert received(pair.at_device) == []


def test_a_process_waits_for_a_message_or_the_end_of_its_patience():
    pair = Pair()
    heard = []

    def device():
        yield pair.connection.opened
        began = pair.env.now
        for timeout in (0.03, 1.0, 0.02, 10.0, None):
            got = yield from pair.at_device.receive(timeout)
            heard.append((round(pair.env.now - began, 6), got and got[1]))

    def verifier():
        yield pair.connection.opened
        pair.connection.answer([b"one"])
        yield pair.env.timeout(0.2)
        for frames in ([b"two"], [b"three"]):
            pair.connection.answer(frames)

    pair.env.process(verifier())
    pair.env.run(pair.env.process(device()))
    assert heard == [
        (0.03, None), (0.05, [b"one"]), (0.07, None), (0.25, [b"two"]), (0.25, [b"three"]),
    ]  # fmt: skip


def test_the_patience_of_an_earlier_receive_does_not_end_a_later_one():
    env = simpy.Environment()
    inbox = Inbox(env)
    env.timeout(0.01).callbacks.append(lambda _: inbox.put("early"))
    env.timeout(0.6).callbacks.append(lambda _: inbox.put("late"))

    def wait():
        heard = []
        for timeout in (0.03, 0.5, 1.0):
            item = yield from inbox.receive(timeout)
            heard.append((round(env.now, 6), item))
        return heard

    assert env.run(env.process(wait())) == [(0.01, "early"), (0.51, None), (0.6, "late")]
