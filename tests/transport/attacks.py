"""Attacks on a verifier, by a peer that writes ZMTP itself."""

from __future__ import annotations

import contextlib
import functools
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec

from testbed.codecs.tokens import encode_tokens
from testbed.models.load import load_synthetic
from testbed.models.spec import SyntheticSpec
from testbed.pcap.zmtp import COMMAND, GREETING, LONG, MORE, elements
from testbed.protocol.messages import VERSION, Opened, Refused, Reply, Round, to_frames
from tests.support.toy import task
from tests.support.wire import decode_noting
from tests.transport.attacked import CURSED
from tests.transport.nat import reset

SPEC = SyntheticSpec(vocabulary_size=1000, acceptance=0.8)
DRAFT, TARGET = load_synthetic(SPEC, "draft"), load_synthetic(SPEC, "target")
PING = b"\x04PING\x00\x05"
"""A PING with a time-to-live of half a second, after which the peer may drop the connection."""
numbers = itertools.count()
patience = 60.0
"""Seconds to wait for an answer."""


def frame(body: bytes, flags: int) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + len(body).to_bytes(8, "big") + body


def packed(frames: list[bytes]) -> bytes:
    """Return the bytes of a message on the connection."""
    return frame(frames[0], MORE) + frame(frames[1], 0)


class Stranger:
    """A connection that does not follow the protocol's rules."""

    def __init__(self, port: int, name: str) -> None:
        self._received = bytearray()
        self._socket = socket.socket()
        self._socket.settimeout(patience)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self.send(b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32))
        ready = b"\x05READY"
        for key, value in (b"Socket-Type", b"DEALER"), (b"Identity", name.encode()):
            ready += bytes([len(key)]) + key + len(value).to_bytes(4, "big") + value
        self.send(frame(ready, COMMAND))
        while len(self._received) < GREETING:
            self._received += self._socket.recv(4096)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, frames: list[bytes], answer: type) -> object:
        """Send a message and wait for an answer of this type."""
        before = self._count(answer)
        self.send(packed(frames))
        while self._count(answer) == before:
            data = self._socket.recv(4096)
            if not data:
                raise ConnectionError("the verifier is gone")
            self._received += data
        return [each.message for each in elements(self._received)][-1]

    def reset(self) -> None:
        reset(self._socket)

    def _count(self, kind: type) -> int:
        return sum(isinstance(each.message, kind) for each in elements(self._received))


@functools.cache
def conversation(method: str):
    """Record an honest generation: its openings, rounds and replies."""
    return decode_noting(task(method, 60), DRAFT, TARGET)[1]


def opening(prompt: list[int] | None = None, **changes) -> list[bytes]:
    message, payload = conversation("dsd").openings[0]
    if prompt:
        payload = encode_tokens(prompt, SPEC.vocabulary_size).data
        changes["length"] = len(prompt)
    return to_frames(msgspec.structs.replace(message, **changes), payload)


def a_round(catch_up: list[int] | None = None) -> list[bytes]:
    """Return a round without drafts, of the session that `opening` opens."""
    opened, _ = conversation("dsd").openings[0]
    message = Round(
        VERSION, opened.session, round=0, base=opened.length, catch_up=catch_up or [], drafts=0
    )
    return to_frames(message)


def take_over(port: int, stack: contextlib.ExitStack) -> None:
    """Open two connections of one name; the older one sends once more and ends. F1 a."""
    older = Stranger(port, "device-1")
    older.ask(opening(), Opened)
    newer = Stranger(port, "device-1")
    stack.callback(newer.reset)
    newer.ask(opening(), Opened)
    older.send(packed(a_round()))
    time.sleep(0.02)
    older.reset()


def flood_and_ping(port: int, stack: contextlib.ExitStack) -> None:
    """Send more than a queue holds, with heartbeats, and end before it is read. F1 c."""
    stranger = Stranger(port, "flood")
    stranger.send(packed(opening()))
    time.sleep(0.02)  # now the verifier reads the prompt, and no messages
    stranger.send((packed(a_round()) + frame(PING, COMMAND)) * 2000)
    time.sleep(0.01)
    stranger.reset()


def be_deaf(port: int, stack: contextlib.ExitStack, pings: bytes = b"") -> None:
    """Ask for the same long answer again and again, and read none. F2."""
    stranger = Stranger(port, f"deaf-{next(numbers)}")
    stack.callback(stranger.reset)
    line = conversation("dssd")
    stranger.ask(to_frames(*line.openings[0]), Opened)
    for sent, reply in zip(line.rounds, line.replies, strict=True):
        stranger.ask(to_frames(*sent), Reply)
        if len(reply[1]) > 1000:
            break
    stranger.send((packed(to_frames(*sent)) + pings) * 5000)
    time.sleep(0.5)  # until its queue is full


def be_deaf_and_alive(port: int, stack: contextlib.ExitStack) -> None:
    """Do the same with heartbeats, and end when none is answered. F1 c, as first seen."""
    with contextlib.ExitStack() as own:
        be_deaf(port, own, frame(PING, COMMAND))


def fail(port: int, stack: contextlib.ExitStack) -> None:
    """Open a session for which the target fails. F5."""
    stranger = Stranger(port, "cursed")
    stack.callback(stranger.reset)
    refused = stranger.ask(opening(CURSED), Refused)
    assert refused.reason.startswith("internal error, RuntimeError")


def overgrow(port: int, stack: contextlib.ExitStack) -> None:
    """Send half a million tokens where the limit is ten. F6."""
    stranger = Stranger(port, "large")
    stack.callback(stranger.reset)
    stranger.ask(opening(limit=10), Opened)
    refused = stranger.ask(a_round([1] * 500_000), Refused)
    assert "has no room for more below its limit, 10" in refused.reason


@contextlib.contextmanager
def under(attack: Callable[[int, contextlib.ExitStack], None], port: int) -> Iterator[None]:
    """Attack once, and then repeatedly while the body runs."""
    stop = threading.Event()
    failures: list[Exception] = []

    def go_on() -> None:
        while not (stop.wait(0.1) or failures):
            try:
                attack(port, stack)
            except Exception as failure:
                failures.append(failure)

    with contextlib.ExitStack() as stack:
        attack(port, stack)
        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
    if failures:
        raise failures[0]
