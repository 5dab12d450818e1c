"""Every byte of a link has one use, however the stream was cut into frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.pcap.byte_ledger import Ledger, SentFrames
from testbed.pcap.frames import read_frames
from testbed.pcap.tcp_streams import streams as streams_of
from tests.pcap.recorded import ANSWERS, SENT, arp, packet, segments, streams, write

HEADERS = 14 + 20 + 20 + 12
"""Ethernet, IP and TCP with a time stamp."""
ALWAYS = 1 << 62


def sent(folder, packets):
    frames = list(read_frames(write(folder / "x.pcap", packets)))
    return SentFrames(frames, streams_of([frames], "x.pcap"))


def uses(folder, packets) -> Ledger:
    return sent(folder, packets).between(0, ALWAYS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("captures")


@settings(deadline=None, max_examples=25)
@given(
    cuts=st.lists(st.integers(1, 7_500), max_size=60),
    first=st.one_of(st.just(0), st.integers(0, 2**32 - 1), st.just(2**32 - 100)),
    up=st.booleans(),
)
def test_all_bytes_have_their_use_however_they_are_cut(folder, cuts, first, up):
    stream, messages = (streams()[0], SENT) if up else (streams()[1], ANSWERS)
    frames = segments(stream, [cut for cut in cuts if cut < len(stream)], first, up)
    found = uses(folder, frames)
    assert found.payload == sum(len(payload) for _, payload in messages)
    assert found.messages == sum(len(header) for header, _ in messages)
    assert found.zmtp == len(stream) - found.payload - found.messages
    assert found.connections == HEADERS
    assert found.ethernet == 14 * (len(frames) - 1)
    assert found.tcp_ip == (HEADERS - 14) * (len(frames) - 1)
    assert found.retransmissions == found.acknowledgements == found.other == 0
    assert found.total == sum(len(frame) for frame in frames)


def test_what_is_sent_again_counts_as_that(folder):
    stream, _ = streams()
    frames = segments(stream, [100, 200], 5)
    again = packet(True, "PA", 5 + 1, stream[:100], 0.0015)
    overlap = packet(True, "PA", 5 + 1 + 150, stream[150:], 0.0025)
    syn, a, b, c = frames
    plain = uses(folder, frames)
    twice = uses(folder, [syn, a, again, b, c])
    assert twice.retransmissions == HEADERS + 100
    assert twice.total - plain.total == HEADERS + 100
    partly = uses(folder, [syn, a, b, overlap])
    assert partly.retransmissions == 50
    assert (partly.payload, partly.messages, partly.zmtp) == (
        plain.payload,
        plain.messages,
        plain.zmtp,
    )


def test_acknowledgements_endings_and_strangers(folder):
    found = uses(
        folder,
        [*segments(streams()[0], [], 5), packet(False, "A", 9), packet(True, "FA", 9), arp()],
    )
    assert found.acknowledgements == HEADERS
    assert found.connections == 2 * HEADERS
    assert found.other == len(arp())


def test_any_moment_cuts_the_ledger_without_a_loss(folder):
    frames = segments(streams()[0], range(50, 7_000, 70), 5)
    whole = sent(folder, frames)
    parts = [whole.between(begin, begin + 7_300_000) for begin in range(0, 200_000_000, 7_300_000)]
    for name in Ledger.__struct_fields__:
        assert sum(getattr(part, name) for part in parts) == getattr(whole.between(0, ALWAYS), name)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_on_a_later_link_frames_may_be_missing_and_out_of_order(folder, data):
    """Behind a lossy link the first copy of each byte is new, and later copies are not."""
    stream, _ = streams()
    frames = segments(stream, range(500, 7_000, 500), 5)
    origin = list(read_frames(write(folder / "x.pcap", frames)))
    order = data.draw(st.permutations(range(1, len(origin))))
    order += data.draw(st.lists(st.sampled_from(order), max_size=5))
    found = SentFrames([origin[place] for place in order], streams_of([origin], "x.pcap")).between(
        0, ALWAYS
    )
    again = sum(origin[place].size for place in order[len(origin) - 1 :])
    assert found.retransmissions == again
    assert found.payload == sum(len(payload) for _, payload in SENT)
    assert found.total == sum(origin[place].size for place in order)


def test_of_a_connection_from_before_nothing_is_a_message(folder):
    """If its bytes are messages, nodes and captures disagree, and the run is invalid."""
    frames = segments(streams()[0], [100, 200], 5)[1:]
    found = uses(folder, frames)
    assert found.connections == found.total == sum(map(len, frames))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_frame_that_was_not_captured_is_noticed(folder, missing):
    frames = segments(streams()[0], [100, 200], 5)
    del frames[missing]
    with pytest.raises(TestbedError, match="not captured"):
        uses(folder, frames)


def test_bytes_of_a_message_that_never_ended_have_no_use(folder):
    """In a run they would be missing from the ledger, which makes the run invalid."""
    frames = segments(streams()[0][:-1], [], 5)
    found = uses(folder, frames)
    assert found.total < sum(len(frame) for frame in frames)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda stream: b"\0" + stream[1:], "does not begin as ZMTP"),
        (lambda stream: stream[:-1] + b"\1", "not one of the testbed's"),
    ],
)
def test_other_streams_are_refused(folder, damage, reason):
    with pytest.raises(TestbedError, match=reason):
        uses(folder, segments(damage(streams()[0]), [], 5))


def test_a_file_that_is_no_capture(tmp_path):
    (tmp_path / "x.pcap").write_bytes(b"nothing of the kind")
    with pytest.raises(TestbedError, match=r"x\.pcap: is not a capture that can be read"):
        list(read_frames(tmp_path / "x.pcap"))
    with pytest.raises(TestbedError, match=r"y\.pcap: is not a capture that can be read"):
        list(read_frames(tmp_path / "y.pcap"))


def test_a_capture_that_is_cut_anywhere_within_a_frame_is_named(tmp_path):
    frames = segments(streams()[0], [100], 5)
    path = write(tmp_path / "x.pcap", frames)
    whole = path.read_bytes()
    ends = [24 + sum(16 + len(frame) for frame in frames[:n]) for n in range(1 + len(frames))]
    assert ends[-1] == len(whole)
    for end in range(4, len(whole), 7):
        path.write_bytes(whole[:end])
        if end in ends:
            assert len(list(read_frames(path))) == ends.index(end)
        else:
            with pytest.raises(TestbedError, match=f"^{path}: "):
                list(read_frames(path))


def test_stamps_become_those_of_the_experiments_clock(tmp_path):
    path = write(tmp_path / "x.pcap", [packet(True, "S", 5, t=100.000000123)])
    (frame,) = read_frames(path, ahead=40_000_000_000, dilation=2.0)
    assert frame.t == round(60_000_000_123 / 2)
