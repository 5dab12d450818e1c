"""Capture files in the formats that tcpdump and Wireshark write."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import pytest

from testbed import cli
from testbed.errors import TestbedError
from testbed.pcap.capture_file import Packet, read_packets
from testbed.pcap.capture_index import Captured, CapturePair, write_captures
from testbed.pcap.frames import read_frames
from tests.pcap import recorded

FRAME = bytes(range(60))


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", link_type: int = 1, options: bytes = b"") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link_type, 0, 0) + options, order)


def resolution(value: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHB3x", 9, 1, value)


def frame(units: int, number: int = 0, order: str = "<", size: int = 60) -> bytes:
    head = struct.pack(f"{order}5I", number, units >> 32, units & 0xFFFFFFFF, 60, size)
    return block(6, head + FRAME, order)


WHOLE = section() + interface() + frame(1_500_000)


def packets(path: Path, content: bytes) -> list[Packet]:
    path.write_bytes(content)
    return list(read_packets(path))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_times_of_every_resolution_and_interface(tmp_path, order):
    later = struct.pack(f"{order}HHq", 14, 8, 100)
    content = (
        section(order)
        + interface(order)
        + interface(order, options=struct.pack(f"{order}HH4s", 2, 3, b"eth") + resolution(9, order))
        + interface(order, options=resolution(0x80 | 10, order) + later + bytes(4))
        + interface(order, 113)  # of which nothing was captured
        + block(5, b"statistics of an interface", order)
        + frame(1_500_000, 0, order)
        + frame(1_600_000_001, 1, order)
        + frame(1024 + 512, 2, order)
        + block(2, struct.pack(f"{order}HH4I", 1, 0, 0, 2_000_000_000, 60, 60) + FRAME, order)
        + section("<")
        + interface("<")
        + frame(3_000_000)
    )
    times = [1_500_000_000, 1_600_000_001, 101_500_000_000, 2_000_000_000, 3_000_000_000]
    assert packets(tmp_path / "x", content) == [Packet(t, 60, FRAME) for t in times]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_of_either_byte_order_and_unit(tmp_path, order, magic, unit):
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, 1)
    content = head + struct.pack(f"{order}4I", 7, 5, 60, 60) + FRAME
    assert packets(tmp_path / "x", content) == [Packet(7_000_000_000 + 5 * unit, 60, FRAME)]
    assert packets(tmp_path / "y", gzip.compress(content))[0].data == FRAME


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (section() + interface(link_type=113) + frame(0), r"interface 0 has link type 113 \(Linux"),
        (section() + interface() + frame(0, 1), "interface 1, which is not defined"),
        (section() + interface() + block(3, struct.pack("<I", 60) + FRAME), "have no times"),
        (section() + interface() + block(6, b"1234"), "too short"),
        (section() + interface() + block(6, struct.pack("<5I", 0, 0, 0, 99, 99)), "longer than"),
        (section() + block(5, b"")[:-4] + b"abcd", "another length"),
        (section()[:8] + b"abcd" + section()[12:], "not begin with a byte order"),
        (section() + struct.pack("<II", 6, 0xFFFFFFF0), "a block has 4294967"),
        (section() + struct.pack("<II", 6, 4), "a block has 4 B"),
        (
            struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 276),
            r"link type 276 \(Linux cooked v",
        ),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 9), r"link type 9 \(another one\)"),
        (b"", "neither pcap nor pcapng"),
        (gzip.compress(WHOLE)[:-9], "Compressed file ended"),
        (b"\x1f\x8bnothing of gzip's", "is not a capture"),
    ],
)
def test_what_is_no_whole_capture_of_ethernet_is_refused(tmp_path, content, why):
    with pytest.raises(TestbedError, match=rf"x: is not a capture that can be read: .*{why}|{why}"):
        packets(tmp_path / "x", content)


def test_one_that_is_cut_off_anywhere_is_refused(tmp_path):
    between = {len(section()), len(section() + interface()), len(WHOLE)}
    assert len(packets(tmp_path / "x", WHOLE)) == 1
    for end in set(range(len(WHOLE))) - between:
        with pytest.raises(TestbedError, match=r"cut off|neither pcap"):
            packets(tmp_path / "x", WHOLE[:end])


def test_a_frame_that_was_captured_in_part_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(section() + interface() + frame(0, size=1500))
    with pytest.raises(TestbedError, match=r"x: holds 60 of a frame's 1500 B"):
        list(read_frames(tmp_path / "x"))


@pytest.mark.parametrize("more", [[], ["--frames"]])
def test_testbed_packets_reads_a_capture_that_was_saved_again(tmp_path, monkeypatch, capsys, more):
    up, down = recorded.streams()
    frames = [*recorded.segments(up, [64, 200], 7), *recorded.segments(down, [64], 9, up=False)]
    ends = []
    for host, address in (("device", recorded.UP), ("base_station", recorded.DOWN)):
        recorded.write(tmp_path / f"{host}.pcap", frames)
        ends.append(
            Captured(host=host, files=[f"{host}.pcap"], address=address, ahead=0, dilation=1.0)
        )
    write_captures(tmp_path, {"radio": CapturePair(*ends)})
    monkeypatch.setattr(sys, "argv", ["testbed", "packets", str(tmp_path), *more])
    shown = []
    for again in (False, True):
        if again:
            for host in ("device", "base_station"):
                recorded.save_again(tmp_path / f"{host}.pcap")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "payload" in shown[0]
