"""Deficit round robin: shares of flows, which packets are dropped, and the order of the rest."""

import math
from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.queue import FULL_FRAME, Queue
from testbed.links.round_robin import addresses
from testbed.links.spec import LinkSpec

KEY = RandomKey(1, "radio", "up")
RATE = 8e6  # a byte a microsecond
BUFFER = 64 * 1024


def frame(flow, number=0, size=1000):
    """Return a frame with an IPv4 packet from address 10.0.0.`flow`."""
    source = bytes([10, 0, 0, flow])
    head = bytes(12) + b"\x08\x00" + bytes(12) + source + bytes([10, 0, 0, 254])
    return (head + number.to_bytes(4, "big")).ljust(size, b"\0")


def flow_of(packet):
    return packet.frame[29]


def shared(discipline="round_robin", limit=BUFFER, unit="bytes", **values):
    """Return a pipeline, and the list to which it adds the packets that it drops."""
    dropped = []
    spec = LinkSpec(rate=RATE, queue=Queue(limit, unit, discipline), **values)
    return Pipeline(spec, KEY, lambda packet, reason: dropped.append((packet, reason))), dropped


def leave_all(line, now=math.inf):
    departures = []
    while (departure := line.leave(now)) is not None:
        departures.append(departure)
    return departures


def carry(line, senders, seconds):
    """Let flows send for some seconds; senders: bytes of a packet and share of RATE, by flow.

    Return the share of the rate that each flow got, and all departures.
    """
    arrivals = sorted(
        (number * size / (share * RATE / 8), flow, number, size)
        for flow, (size, share) in senders.items()
        for number in range(int(seconds * share * RATE / 8 / size))
    )
    departures = []
    for now, flow, number, size in arrivals:
        line.arrive(now, frame(flow, number, size))
        departures += leave_all(line, now)
    got = Counter()
    for due, packet in departures:
        if due <= seconds:
            got[flow_of(packet)] += len(packet.frame)
    departures += leave_all(line)
    return {flow: got[flow] * 8 / seconds / RATE for flow in senders}, departures


def test_a_greedy_flow_gets_no_more_than_its_half():
    got, _ = carry(shared()[0], {1: (1000, 3.0), 2: (1000, 0.6)}, 2.0)
    assert got == pytest.approx({1: 0.5, 2: 0.5}, abs=0.01)


def test_in_one_queue_it_gets_what_it_asks_for():
    got, _ = carry(shared("drop_tail")[0], {1: (1000, 3.0), 2: (1000, 0.6)}, 2.0)
    assert got[1] > 0.8
    assert got[2] < 0.2


def test_what_one_does_not_ask_for_is_shared_by_the_others():
    line, dropped = shared()
    got, _ = carry(line, {1: (1500, 2.0), 2: (1500, 5.0), 3: (200, 0.1)}, 2.0)
    assert got == pytest.approx({1: 0.45, 2: 0.45, 3: 0.1}, abs=0.01)
    assert {flow_of(packet) for packet, _ in dropped} == {1, 2}


def test_shares_are_of_bytes_not_of_packets():
    got, _ = carry(shared()[0], {1: (1500, 2.0), 2: (100, 2.0)}, 2.0)
    assert got == pytest.approx({1: 0.5, 2: 0.5}, abs=0.02)
    got, _ = carry(shared(limit=100, unit="packets")[0], {1: (1500, 2.0), 2: (1000, 2.0)}, 2.0)
    assert got == pytest.approx({1: 0.5, 2: 0.5}, abs=0.02)


def test_sixty_four_flows_share_alike():
    got, _ = carry(shared(limit=2**20)[0], dict.fromkeys(range(1, 65), (1000, 0.1)), 4.0)
    assert got == pytest.approx(dict.fromkeys(range(1, 65), 1 / 64), abs=0.0015)


def test_one_flow_alone_is_served_as_by_a_plain_queue():
    dues = {}
    for discipline in ("drop_tail", "round_robin"):
        line, dropped = shared(discipline, limit=10_000)
        _, departures = carry(line, {1: (1000, 1.5)}, 0.1)
        dues[discipline] = [due for due, _ in departures]
        assert {reason for _, reason in dropped} == {"queue"}
    assert dues["round_robin"] == pytest.approx(dues["drop_tail"])


def test_a_light_packet_waits_for_one_turn_of_the_others_at_most():
    line, _ = shared()
    for number in range(20):
        for flow in (1, 2, 3):
            line.arrive(0.0, frame(flow, number, FULL_FRAME))
    line.arrive(0.0, frame(9, 0, 100))
    (due,) = (due for due, packet in leave_all(line) if flow_of(packet) == 9)
    # One packet is being sent when the others form up, and each of them may send one.
    assert due <= (4 * FULL_FRAME + 100) * 8 / RATE + 1e-9


def test_the_longest_queue_loses_its_head():
    line, dropped = shared(limit=10, unit="packets")
    line.arrive(0.0, frame(1, 0))  # being sent, and not to be had any more
    for number in range(1, 7):
        line.arrive(0.0, frame(1, number))
    for number in range(3):
        line.arrive(0.0, frame(2, number))
    assert not dropped
    line.arrive(0.0, frame(2, 3))
    line.arrive(0.0, frame(3, 0))
    assert [(packet.frame, reason) for packet, reason in dropped] == [
        (frame(1, 1), "queue"), (frame(1, 2), "queue"),
    ]  # fmt: skip
    assert line.counts.dropped == {"queue": 2}
    assert line.in_flight == 10


def test_a_turn_is_worth_a_quantum_and_its_rest_is_kept():
    line, _ = shared()
    for number in range(10):
        line.arrive(0.0, frame(1, number, 1000))
    for number in range(20):
        line.arrive(0.0, frame(2, number, 500))
    order = [flow_of(packet) for _, packet in leave_all(line)]
    turns = [(flow, len(list(run))) for flow, run in groupby(order)]
    # 1514 bytes a turn: of 1000 one fits, then with the rest of 514 two; of 500 always three.
    assert turns[:4] == [(1, 2), (2, 3), (1, 2), (2, 3)]
    assert sum(count for flow, count in turns if flow == 1) == 10


def test_flows_are_pairs_of_addresses():
    assert addresses(frame(1)) == bytes([10, 0, 0, 1, 10, 0, 0, 254])
    six = bytes(12) + b"\x86\xdd" + bytes(8) + bytes(range(32)) + bytes(99)
    assert addresses(six) == bytes(range(32))
    assert addresses(bytes(12) + b"\x08\x06" + bytes(28)) == b""


def test_a_change_of_discipline_loses_nothing_and_keeps_each_flows_order():
    line, _ = shared("drop_tail")
    spec = {name: LinkSpec(rate=RATE, queue=Queue(BUFFER, "bytes", name)) for name in (
        "drop_tail", "round_robin", "codel",
    )}  # fmt: skip
    for number in range(12):
        line.arrive(0.0, frame(1 + number // 6, number))
    departures = leave_all(line, 0.001)
    for now, name in ((0.0015, "round_robin"), (0.0035, "codel"), (0.0055, "round_robin")):
        departures += leave_all(line, now)
        line.change(now, spec[name])
    departures += leave_all(line)
    assert [due for due, _ in departures] == pytest.approx([n * 1e-3 for n in range(1, 13)])
    for flow in (1, 2):
        numbers = [packet.number for _, packet in departures if flow_of(packet) == flow]
        assert numbers == list(range(6 * flow - 6, 6 * flow))
    # From 1.5 ms on they took turns: flow 2 did not wait for all of flow 1.
    assert [flow_of(packet) for _, packet in departures[:5]] != [1, 1, 1, 1, 1]


def test_a_smaller_limit_loses_nothing_that_waits_but_for_what_comes():
    line, dropped = shared()
    for number in range(10):
        line.arrive(0.0, frame(1, number))
    line.change(0.0, LinkSpec(rate=RATE, queue=Queue(FULL_FRAME, "bytes", "round_robin")))
    assert line.in_flight == 10
    line.arrive(0.0, frame(2, 0))
    assert (line.in_flight, [packet.number for packet, _ in dropped]) == (10, [1])


def test_held_packets_wait_and_then_take_turns():
    line, dropped = shared()
    for number in range(3):
        line.arrive(0.0, frame(1, number))
    line.change(0.0005, line.spec, held=True)
    assert (line.leave(5.0), line.next_event()) == (None, None)
    for number in range(2):
        line.arrive(5.0, frame(2, number))
    line.change(10.0, line.spec)
    departures = leave_all(line)
    assert [due for due, _ in departures] == pytest.approx([10.0005 + n * 1e-3 for n in range(5)])
    assert sorted(flow_of(packet) for _, packet in departures[:3]) == [1, 1, 2]
    assert not dropped


queues = st.builds(
    Queue,
    st.sampled_from([1514, 5000, 40_000]),
    st.just("bytes"),
    st.sampled_from(["round_robin", "round_robin", "drop_tail"]),
)
changes = st.tuples(st.sampled_from([None, 1e5, RATE]), queues, st.booleans())
packets = st.tuples(st.integers(0, 3), st.integers(34, FULL_FRAME))


@given(
    first=queues,
    steps=st.lists(st.tuples(st.floats(0, 0.01), packets | changes), max_size=60),
    duplicate=st.sampled_from([0.0, 0.5]),
)
def test_every_packet_leaves_or_is_dropped_once_whatever_happens(first, steps, duplicate):
    fates = []
    spec = LinkSpec(rate=RATE, queue=first, duplicate=duplicate)
    line = Pipeline(spec, KEY, lambda packet, reason: fates.append(packet.number))
    now, sent, departures = 0.0, 0, []
    for pause, step in steps:
        now += pause
        departures += leave_all(line, now)
        if len(step) == 2:
            line.arrive(now, frame(step[0], sent, step[1]))
            sent += 1
        else:
            rate, queue, held = step
            spec = LinkSpec(rate=rate, queue=queue, duplicate=duplicate)
            line.change(now, spec, held=held)
        counts = line.counts
        assert len(fates) == counts.dropped.total()
        assert counts.received_packets == sent
        left = counts.forwarded_packets + counts.dropped.total()
        assert sent + counts.duplicated == left + line.in_flight
    line.change(now, spec)  # held no more
    departures += leave_all(line)
    assert line.in_flight == 0
    assert [due for due, _ in departures] == sorted(due for due, _ in departures)
    fates += [packet.number for _, packet in departures]
    assert set(fates) == set(range(sent))
    assert len(fates) == sent + line.counts.duplicated
    for flow in range(4):
        mine = [packet.number for _, packet in departures if flow_of(packet) == flow]
        assert mine == sorted(mine)
    # The server never works faster than its rate, nor on two packets at once.
    if spec.rate is not None and all(len(step) == 2 for _, step in steps):
        ends = [due for due, _ in departures]
        for begin, (end, packet) in zip([0.0, *ends], departures, strict=False):
            assert end - begin >= len(packet.frame) * 8 / RATE - 1e-9


def test_it_is_written_and_read_back():
    written = {"limit": "256KiB", "discipline": "round_robin"}
    spec = LinkSpec.parse({"queue": written}, "x")
    assert spec.queue == Queue(1 << 18, "bytes", "round_robin")
    assert spec.to_mapping()["queue"] == written
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse({"queue": {**written, "target": "9ms"}}, "x")
    assert str(caught.value) == "x.queue.target: round_robin has none; only codel does"
