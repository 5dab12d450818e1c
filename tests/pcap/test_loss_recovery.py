"""Retransmissions of lost bytes, found in the captures of both ends."""

from __future__ import annotations

import pytest

from testbed.pcap.byte_ledger import SentFrames
from testbed.pcap.frames import read_frames
from testbed.pcap.loss_recovery import RetransmissionGaps
from testbed.pcap.tcp_streams import streams as streams_of
from tests.pcap.recorded import packet, streams, write

STREAM = streams()[0]
MS = 10**6


def numbered(number: int, begin: int, end: int, t: float):
    """Return a frame with bytes `begin` to `end` of the stream, sent at `t` ms."""
    made = packet(True, "PA", 1 + begin, STREAM[begin:end], t / 1000)
    made["IP"].id = number
    return made


def recoveries(folder, sent, lost, host="10.0.0.1"):
    """Return the recoveries when each frame takes 10 ms, except those that are lost."""
    syn = packet(True, "S", 0)
    arrived = [syn]
    for each in sent:
        if each["IP"].id not in lost:
            copy = each.copy()
            copy.time = float(each.time) + 0.01
            arrived.append(copy)
    ends = [
        list(read_frames(write(folder / name, packets)))
        for name, packets in (("a.pcap", [syn, *sent]), ("b.pcap", arrived))
    ]
    return RetransmissionGaps(SentFrames(ends[0], streams_of([ends[0]], "x.pcap")), ends[1], host)


def test_from_when_it_was_first_sent_until_the_copy_that_arrived_was(tmp_path):
    sent = [
        numbered(1, 0, 100, 5), numbered(2, 100, 200, 6), numbered(3, 200, 300, 7),
        numbered(4, 100, 200, 56), numbered(5, 300, len(STREAM), 80),
    ]  # fmt: skip
    found = recoveries(tmp_path, sent, lost={2})
    assert found.within(0, 100 * MS) == pytest.approx(0.050)
    assert found.within(0, 26 * MS) == pytest.approx(0.020)  # cut to the window
    assert found.within(60 * MS, 100 * MS) == 0
    assert recoveries(tmp_path, sent, lost=set()).within(0, 100 * MS) == 0  # sent again in vain
    assert recoveries(tmp_path, sent, {2}, host="10.0.0.2").within(0, 100 * MS) > 0
    assert recoveries(tmp_path, sent, {2}, host="10.0.0.3").within(0, 100 * MS) == 0  # another's


def test_a_copy_that_is_lost_too_takes_longer_and_gaps_count_once(tmp_path):
    sent = [
        numbered(1, 0, 100, 5), numbered(2, 100, 200, 6), numbered(3, 200, 300, 7),
        numbered(4, 300, len(STREAM), 8), numbered(5, 100, 200, 30), numbered(6, 100, 200, 60),
        numbered(7, 200, 300, 61),
    ]  # fmt: skip
    found = recoveries(tmp_path, sent, lost={2, 3, 5})
    assert found.within(0, 100 * MS) == pytest.approx(0.055)  # 6 to 60, and 7 to 61
