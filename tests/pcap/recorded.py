"""Bytes of a real ZeroMQ connection, and captures built from them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import zmq
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import PcapNgWriter, PcapWriter, rdpcap

from testbed.protocol.messages import VERSION, Reply, Round, to_frames

UP, DOWN = "02:00:00:00:00:01", "02:00:00:00:00:02"
"""Ethernet addresses of a device and its verifier."""


def a_round(number: int, payload: int) -> list[bytes]:
    """Return the frames of a round with `payload` bytes of payload."""
    message = Round(VERSION, 7, round=number, base=number, catch_up=[], drafts=2)
    return to_frames(message, bytes(payload))


def an_answer(number: int, payload: int) -> list[bytes]:
    """Return the frames of a round's answer with `payload` bytes of payload."""
    message = Reply(VERSION, 7, round=number, part=0, last=True, length=number, busy_s=1e-6)
    return to_frames(message, bytes(payload))


SENT = tuple(a_round(number, size) for number, size in enumerate((0, 3, 300, 7_000)))
ANSWERS = tuple(an_answer(number, size) for number, size in enumerate((1, 254, 255, 256)))


@cache
def streams() -> tuple[bytes, bytes]:
    """Send SENT from a DEALER to a ROUTER and ANSWERS back; return libzmq's bytes up and down."""
    with socket.create_server(("127.0.0.1", 0)) as front, zmq.Context() as context:
        router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        dealer.connect(f"tcp://127.0.0.1:{front.getsockname()[1]}")
        device, _ = front.accept()
        verifier = socket.create_connection(("127.0.0.1", port))
        up, down = bytearray(), bytearray()
        pumps = [
            threading.Thread(target=_pump, args=args, daemon=True)
            for args in ((device, verifier, up), (verifier, device, down))
        ]
        for pump in pumps:
            pump.start()
        for frames, answer in zip(SENT, ANSWERS, strict=True):
            dealer.send_multipart(frames)
            identity, *_ = router.recv_multipart()
            router.send_multipart([identity, *answer])
            dealer.recv_multipart()
        dealer.close(linger=0)
        router.close(linger=0)
        for pump in pumps:
            pump.join(10)
        for end in (device, verifier):
            end.close()
    return bytes(up), bytes(down)


def _pump(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
    while data := source.recv(65536):
        seen += data
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def packet(up: bool, flags: str, sequence: int, payload: bytes = b"", t: float = 0.0) -> Ether:
    """Return a frame of a connection between device and verifier."""
    ends = [(UP, "10.0.0.1", 40000), (DOWN, "10.0.0.2", 5555)]
    (mac, address, port), (to_mac, to_address, to_port) = ends if up else reversed(ends)
    made = (
        Ether(src=mac, dst=to_mac)
        / IP(src=address, dst=to_address)
        / TCP(sport=port, dport=to_port, flags=flags, seq=sequence % (1 << 32),
              options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
        / payload
    )  # fmt: skip
    made.time = t
    return made


def arp(t: float = 0.0) -> Ether:
    """Return a frame that is not TCP."""
    made = Ether(src=UP, dst=DOWN) / ARP()
    made.time = t
    return made


def write(path: Path, packets: Iterable[Ether]) -> Path:
    """Write a capture as tcpdump does, with time stamps in nanoseconds; return its path."""
    with PcapWriter(str(path), linktype=1, nano=True, sync=True) as writer:
        for each in packets:
            writer.write(each)
    return path


def save_again(path: Path) -> None:
    """Save a capture as pcapng, as Wireshark does."""
    packets = rdpcap(str(path))
    with PcapNgWriter(str(path)) as writer:
        for each in packets:
            writer.write(each)


def segments(stream: bytes, cuts: Sequence[int], first: int, up: bool = True) -> list[Ether]:
    """Return a connection's frames, one per ms: SYN, then the stream cut at these offsets."""
    places = [0, *sorted(set(cuts)), len(stream)]
    made = [packet(up, "S", first)]
    for begin, end in pairwise(places):
        if begin < end:
            t = 0.001 * len(made)
            made.append(packet(up, "PA", first + 1 + begin, stream[begin:end], t))
    return made
