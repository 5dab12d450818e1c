"""Scapy dissects ZeroMQ's elements and the testbed's messages, however TCP cuts the stream."""

from __future__ import annotations

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from testbed.pcap.scapy_layers import MessageHeader, Payload, ZmtpFrame, elements_of, elements_table
from testbed.protocol.messages import from_frames
from tests.pcap.recorded import ANSWERS, SENT, segments, streams
from tests.pcap.test_byte_ledger import sent


@pytest.mark.parametrize("cuts", [(), (5, 64, 70), range(40, 7_500, 41)], ids=str)
@pytest.mark.parametrize("up", [True, False])
def test_messages_are_found_whole_and_in_their_order(tmp_path, cuts, up):
    stream, said = (streams()[0], SENT) if up else (streams()[1], ANSWERS)
    cuts = [cut for cut in cuts if cut < len(stream)]
    found = list(elements_of(sent(tmp_path, segments(stream, cuts, 7, up))))
    assert [element.lastlayer().mysummary() for _, element in found[:2]] == ["ZMTP 3.1", "READY"]
    headers = [each[MessageHeader].message for _, each in found if MessageHeader in each]
    assert headers == [from_frames(list(frames))[0] for frames in said]
    payloads = [each[Payload].load for _, each in found if Payload in each]
    assert payloads == [payload for _, payload in said if payload]
    assert [t for t, _ in found] == sorted(t for t, _ in found)
    assert found[-1][0] == 1_000_000 * (len(cuts) + 1)  # with the last segment


def test_layers_build_what_they_read():
    stream = streams()[0]
    at = stream.index(SENT[2][1]) - 9  # a long frame
    frame = ZmtpFrame(stream[at : at + 9 + len(SENT[2][1])])
    assert frame.long_size == 300
    assert bytes(frame) == stream[at : at + 309]


def test_what_is_not_ours_is_told():
    header = MessageHeader(b"\x93\x01nonsense")
    assert header.mysummary() == "not a message of the testbed"


def test_the_table_says_when_and_which_way(tmp_path):
    up = sent(tmp_path, segments(streams()[0], [64, 70], 7))
    down = sent(tmp_path, segments(streams()[1], [], 7, up=False))
    table = elements_table(up, down)
    seconds, directions, whats = (list(column.cells) for column in table.columns)
    assert (seconds[0], directions[0], whats[0]) == ("0.000000", "up", "ZMTP 3.1")
    assert set(directions) == {"up", "down"}
    assert any(what.startswith("Round(version=3, session=7, round=0") for what in whats)
    assert whats[-1] == "payload of 7000 B"


def test_the_port_of_runs_is_bound():
    packet = Ether() / TCP(dport=5555)
    assert packet[TCP].guess_payload_class(streams()[0][:64]).__name__ == "Zmtp"
