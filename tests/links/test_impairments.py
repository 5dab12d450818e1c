"""Corruption, duplication, reordering, MTU and queues of a link, and the files it may name."""

import math
from collections import Counter
from itertools import pairwise
from statistics import correlation

import pytest
from msgspec.structs import replace

from testbed.errors import TestbedError
from testbed.links.codel import CoDel
from testbed.links.jitter import Jitter
from testbed.links.keyed_random import RandomKey
from testbed.links.loss_trace import LossTrace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.measured import MeasuredDelays
from testbed.links.pipeline import Pipeline
from testbed.links.queue import Queue
from testbed.links.spec import LinkSpec

KEY = RandomKey(1, "radio", "up")
MANY = 20_000


def frame(number, size=1000):
    return bytes(14) + number.to_bytes(4, "big") + bytes(size - 18)


def number_of(packet):
    return int.from_bytes(packet.frame[14:18], "big")


def carry(line, count, gap, size=1000, start=0.0):
    """Send numbered frames, `gap` seconds apart; return every departure, in order."""
    leaving = []
    for n in range(count):
        now = start + n * gap
        line.arrive(now, frame(n, size))
        while (departure := line.leave(now)) is not None:
            leaving.append(departure)
    while (departure := line.leave(math.inf)) is not None:
        leaving.append(departure)
    counts = line.counts
    assert counts.received_packets == count
    assert count + counts.duplicated == counts.forwarded_packets + counts.dropped.total()
    assert counts.forwarded_packets == len(leaving)
    return leaving


def test_queues_are_read_and_written_in_any_unit():
    for text, queue in (
        ("64KiB", 65536),
        ("100packets", Queue(100, "packets")),
        ("50ms", Queue(0.05, "seconds")),
    ):
        for written in (text, {"limit": text}):
            spec = LinkSpec.parse({"queue": written}, "up")
            assert spec.queue == queue
            assert spec.to_mapping()["queue"] == text
    codel = {"limit": "200ms", "discipline": "codel", "target": "5ms", "interval": "100ms"}
    spec = LinkSpec.parse({"queue": {"limit": "200ms", "discipline": "codel"}}, "up")
    assert spec.to_mapping()["queue"] == codel


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("12", ": '12' is not a size of a queue; write 64KiB, 100packets or 50ms"),
        ("0packets", ": '0' is not a number of packets; it must be 1 to 1000000000"),
        ({"limit": "1KB"}, ".limit: 1KB does not hold one full frame, 1514B"),
        (
            {"limit": "1MB", "discipline": "red"},
            ".discipline: 'red': choose from codel, drop_tail, round_robin",
        ),
        (
            {"limit": "1MB", "discipline": "codel", "target": "0"},
            ".target: it must be more than 0 and less than",
        ),
        ({"limit": "1MB", "target": "5ms"}, ".target: drop_tail has none; only codel does"),
        ({"discipline": "codel"}, ".limit: this key is missing"),
    ],
)
def test_a_bad_queue_is_named(value, said):
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse({"queue": value}, "up")
    assert str(caught.value).startswith(f"up.queue{said}")


@pytest.mark.parametrize(
    ("queue", "held"),
    [(Queue(5, "packets"), 5), (5000, 5), (Queue(0.005, "seconds"), 5), (Queue(9, "packets"), 9)],
)
def test_the_queue_holds_as_much_as_asked(queue, held):
    line = Pipeline(LinkSpec(rate=8e6, queue=queue), KEY)
    assert len(carry(line, 20, 0.0)) == held
    assert line.counts.dropped == {"queue": 20 - held}


def test_a_queue_in_time_follows_the_rate():
    spec = LinkSpec(rate=8e6, queue=Queue(0.005, "seconds"))
    line = Pipeline(spec, KEY)
    line.change(0.0, LinkSpec(rate=16e6, queue=spec.queue))
    assert len(carry(line, 20, 0.0)) == 10


def test_codel_waits_an_interval_then_drops_ever_faster():
    codel = CoDel(0.005, 0.1)
    drops = [n * 1e-3 for n in range(1000) if codel.drops(n * 1e-3, 0.02, 10_000)]
    assert drops[0] == pytest.approx(0.1)
    gaps = [b - a for a, b in pairwise(drops)]
    assert gaps[:4] == pytest.approx([0.1, 0.1 / 2**0.5, 0.1 / 3**0.5, 0.1 / 4**0.5], abs=0.0021)
    assert not codel.drops(1.0, 0.004, 10_000)  # below the target it stops at once
    assert not any(codel.drops(1.0 + n * 1e-3, 0.02, 10_000) for n in range(1, 100))


def test_codel_leaves_alone_what_does_not_stand():
    waits = [0.02, 0.02, 0.004] * 200
    codel = CoDel(0.005, 0.1)
    assert not any(codel.drops(n * 1e-3, wait, 10_000) for n, wait in enumerate(waits))
    codel = CoDel(0.005, 0.1)
    assert not any(codel.drops(n * 1e-3, 0.02, 1514) for n in range(1000))


def test_codel_keeps_a_queue_short_that_drop_tail_fills():
    waits = {}
    for discipline in ("drop_tail", "codel"):
        queue = Queue(0.5, "seconds", discipline)
        line = Pipeline(LinkSpec(rate=8e6, queue=queue), KEY)
        leaving = carry(line, 5000, 0.00095)  # 5 % more than it can carry
        waits[discipline] = leaving[-300].due - leaving[-300].packet.arrival
    assert waits["codel"] < 0.1 < waits["drop_tail"]


def test_correlated_jitter_keeps_its_law_and_resembles_the_packet_before():
    held = {}
    for share in (0.0, 0.6):
        jitter = Jitter(0.01, "normal", correlation=share)
        line = Pipeline(LinkSpec(delay=0.1, jitter=jitter), KEY)
        held[share] = [due - packet.arrival for due, packet in carry(line, MANY, 1.0)]
        assert sum(held[share]) / MANY == pytest.approx(0.1, abs=5e-4)
        below = sum(hold < 0.1 + 0.01 for hold in held[share]) / MANY
        assert below == pytest.approx(0.8413, abs=0.015)
        assert correlation(held[share][1:], held[share][:-1]) == pytest.approx(share, abs=0.03)


def test_measured_delays_are_drawn_as_often_as_they_were_seen(tmp_path):
    path = tmp_path / "delays.txt"
    path.write_text("10\n30.5\n10\n20\n")
    spec = LinkSpec.parse({"delay": "1ms", "jitter": {"file": str(path)}}, "up")
    assert LinkSpec.parse(spec.to_mapping(), "up") == spec
    assert (spec.shortest_hold, spec.longest_hold) == pytest.approx((0.011, 0.0315))
    seen = Counter(
        round((due - packet.arrival) * 1e3, 3)
        for due, packet in carry(Pipeline(spec, KEY), MANY, 1.0)
    )
    assert set(seen) == {11.0, 21.0, 31.5}
    assert seen[11.0] / MANY == pytest.approx(0.5, abs=0.01)
    assert seen[21.0] / MANY == pytest.approx(0.25, abs=0.01)


def test_recorded_losses_are_replayed_and_begin_again(tmp_path):
    path = tmp_path / "losses.txt"
    path.write_text("0\n1\n1\n0\n0\n")
    spec = LinkSpec.parse({"loss": {"trace": str(path)}}, "up")
    assert LinkSpec.parse(spec.to_mapping(), "up") == spec
    arrived = {number_of(packet) for _, packet in carry(Pipeline(spec, KEY), 20, 0.1)}
    assert arrived == {n for n in range(20) if n % 5 not in (1, 2)}


def test_copies_follow_their_originals():
    line = Pipeline(LinkSpec(duplicate=0.1, delay=0.01), KEY)
    seen = [number_of(packet) for _, packet in carry(line, MANY, 1e-3)]
    assert seen == sorted(seen)
    assert set(Counter(seen).values()) == {1, 2}
    assert line.counts.duplicated / MANY == pytest.approx(0.1, abs=0.01)
    assert len(carry(Pipeline(LinkSpec(), KEY), 100, 1e-3)) == 100


def test_one_bit_behind_the_ethernet_header_is_wrong():
    line = Pipeline(LinkSpec(corrupt=0.2), KEY)
    wrong_bits = Counter()
    for n, (_, packet) in enumerate(carry(line, MANY, 1e-3, size=60)):
        sent = int.from_bytes(frame(n, 60), "big")
        wrong = sent ^ int.from_bytes(packet.frame, "big")
        if wrong:
            assert wrong.bit_count() == 1
            wrong_bits[60 * 8 - wrong.bit_length()] += 1
    assert wrong_bits.total() == line.counts.corrupted
    assert wrong_bits.total() / MANY == pytest.approx(0.2, abs=0.01)
    assert min(wrong_bits) >= 14 * 8
    assert len(wrong_bits) == 46 * 8  # every bit at some time


def test_reordered_packets_overtake_and_nothing_else_does():
    line = Pipeline(LinkSpec(delay=0.01, jitter=0.002, reorder=0.05), KEY)
    leaving = carry(line, MANY, 1e-3)
    assert [due for due, _ in leaving] == sorted(due for due, _ in leaving)
    overtaking = [p for due, p in leaving if due - p.arrival == pytest.approx(0, abs=1e-9)]
    assert len(overtaking) / MANY == pytest.approx(0.05, abs=0.01)
    fast = {p.number for p in overtaking}
    rest = [packet.number for _, packet in leaving if packet.number not in fast]
    assert rest == sorted(rest)
    order = [packet.number for _, packet in leaving]
    assert order != sorted(order)


def test_what_is_larger_than_the_mtu_is_dropped():
    line = Pipeline(LinkSpec(mtu=1000), KEY)
    assert len(carry(line, 3, 0.1, size=1014)) == 3
    line = Pipeline(LinkSpec(mtu=1000), KEY)
    assert carry(line, 3, 0.1, size=1015) == []
    assert line.counts.dropped == {"mtu": 3}


def test_held_packets_wait_and_then_go_on_where_they_were():
    line = Pipeline(LinkSpec(rate=8e6), KEY)
    for n in range(3):
        line.arrive(0.0, frame(n))
    line.change(0.0015, line.spec, held=True)
    assert [line.leave(5.0).due, line.leave(5.0), line.next_event()] == [0.001, None, None]
    line.arrive(5.0, frame(3))
    line.change(10.0, line.spec)
    leaving = [line.leave(11.0).due for _ in range(3)]
    assert leaving == pytest.approx([10.0005, 10.0015, 10.0025])


def test_at_rate_0_packets_wait_and_none_is_lost_but_for_want_of_room():
    line = Pipeline(LinkSpec(rate=8e6, queue=3000), KEY)
    line.arrive(0.0, frame(0))
    line.change(0.0004, replace(line.spec, rate=0.0))
    for n in (1, 2, 3):
        line.arrive(1.0, frame(n))
    assert (line.leave(50.0), line.next_event(), line.counts.dropped) == (None, None, {"queue": 1})
    line.change(100.0, replace(line.spec, rate=8e6))
    assert [line.leave(200.0).due for _ in range(3)] == pytest.approx(
        [100.0006, 100.0016, 100.0026]
    )


def test_a_link_may_begin_at_rate_0():
    line = Pipeline(LinkSpec(rate=0.0), KEY, began=5.0)
    line.arrive(5.0, frame(0))
    assert line.leave(1e9) is None
    line.change(6.0, LinkSpec(rate=8e6))
    assert line.leave(7.0).due == pytest.approx(6.001)


def test_a_queue_in_seconds_has_no_size_at_rate_0():
    with pytest.raises(ValueError, match="queue: at rate 0 a queue in seconds has no size"):
        LinkSpec(rate=0.0, queue=Queue(0.05, "seconds"))


def trace(path, text):
    path.write_text(text)
    return LinkSpec.parse({"rate": {"mahimahi": str(path)}}, "up").rate


def test_a_trace_delivers_at_its_moments_and_begins_again(tmp_path):
    rate = trace(tmp_path / "t", "3\n3\n10\n")
    line = Pipeline(LinkSpec(rate=rate), KEY, began=100.0)
    dues = [due - 100 for due, _ in carry(line, 5, 0.0, size=1514, start=100.0)]
    assert dues == pytest.approx([0.003, 0.003, 0.010, 0.013, 0.013])
    # What finds nobody waiting is lost; small packets share an opportunity.
    line = Pipeline(LinkSpec(rate=rate), KEY, began=100.0)
    dues = [due - 100 for due, _ in carry(line, 4, 0.0, size=757, start=100.0035)]
    assert dues == pytest.approx([0.010, 0.010, 0.013, 0.013])
    # A packet that does not fit any more goes on with the next opportunity.
    line = Pipeline(LinkSpec(rate=rate), KEY, began=100.0)
    dues = [due - 100 for due, _ in carry(line, 3, 0.0, size=1000, start=100.0)]
    assert dues == pytest.approx([0.003, 0.003, 0.003 if 3000 <= 2 * 1514 else 0.010])


def test_a_saturated_trace_delivers_all_it_can(tmp_path):
    moments = [*sorted(n * 7919 % 2000 + 1 for n in range(3000)), 2000]
    rate = trace(tmp_path / "t", "".join(f"{ms}\n" for ms in moments))
    line = Pipeline(LinkSpec(rate=rate, queue=10**9), KEY)
    got = Counter()
    for due, packet in carry(line, 12_000, 0.0, size=1414):
        got[int((due - 1e-9) / 0.5)] += len(packet.frame)
    for half in range(8):  # two rounds
        asked = 1514 * sum(half % 4 * 500 < ms <= half % 4 * 500 + 500 for ms in moments)
        assert got[half] == pytest.approx(asked, rel=0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n5\n4\n", "line 3: 4 ms comes after 5 ms"),
        ("1\n\n4\n", "line 2: the line is empty; remove it"),
        ("1\n2.5\n", "line 2: it is not a whole number of milliseconds"),
        ("-1\n", "line 1: it is not a whole number"),
        ("9" * 5000 + "\n", "line 1: it is not a whole number"),
        ("", "no packet is delivered after time 0; at least one time must be later"),
        ("0\n0\n", "no packet is delivered after time 0; at least one time must be later"),
    ],
)
def test_a_bad_trace_is_refused_with_file_and_line(tmp_path, text, said):
    with pytest.raises(TestbedError) as caught:
        trace(tmp_path / "bad.up", text)
    assert str(caught.value).startswith("up.rate.mahimahi: ")
    assert "bad.up" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (LossTrace, "0\n2\n", "line 2: it is neither 0 (arrived) nor 1 (lost)"),
        (LossTrace, "1\n1\n", "no packet arrives; at least one line must be 0"),
        (MeasuredDelays, "1\nx\n", "line 2: it is not a delay in milliseconds, 0 to 1000000"),
        (MeasuredDelays, "nan\n", "line 1: it is not a delay"),
        (
            MeasuredDelays,
            "1\n2,5\n",
            "line 2: it is not a delay in milliseconds, 0 to 1000000, e.g. 2.5",
        ),
        (MeasuredDelays, "", "it has no delays; write at least one, in milliseconds"),
    ],
)
def test_other_bad_files_are_refused(tmp_path, kind, text, said):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(TestbedError) as caught:
        kind.read(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", [DeliveryTrace, LossTrace, MeasuredDelays])
def test_files_are_read_as_people_and_their_programs_write_them(tmp_path, kind):
    plain, dressed = tmp_path / "plain", tmp_path / "dressed"
    plain.write_text("0\n1\n")
    dressed.write_bytes(b"\xef\xbb\xbf# measured on a train\r\n 0\r\n1 \r\n\r\n\n")
    expected, found = kind.read(plain), kind.read(dressed)
    assert [getattr(found, name) for name in kind.__slots__[1:]] == [
        getattr(expected, name) for name in kind.__slots__[1:]
    ]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TestbedError, match=r"up\.loss\.trace: .*nowhere: cannot be read: No such"):
        LinkSpec.parse({"loss": {"trace": str(tmp_path / "nowhere")}}, "up")


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"duplicate": "101%"}, "up.duplicate: '101%' is not a percentage"),
        ({"reorder": "1%"}, "up.reorder: it needs a delay"),
        ({"mtu": "1501B"}, "up.mtu: it must lie between 68B and 1500B"),
        ({"rate": {"mahi": "x"}}, "up.rate.mahi: unknown key; allowed are mahimahi"),
        (
            {"jitter": {"spread": "1ms", "law": "normal", "correlation": "100%"}},
            "up.jitter.correlation: it must be at least 0% and less than 100%",
        ),
    ],
)
def test_what_no_link_can_do_is_named(mapping, said):
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse(mapping, "up")
    assert str(caught.value).startswith(said)
