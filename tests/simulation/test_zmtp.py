"""Sizes of ZeroMQ's elements and writes: those of libzmq 4.3.5."""

from __future__ import annotations

import socket
import threading

import pytest
import zmq

from testbed.pcap.zmtp import GREETING, MORE, elements, frame_at
from testbed.protocol.messages import VERSION, Opened, to_frames
from testbed.simulation.zmtp import ANSWERS, Element, element_sizes, frame_size, writes

IDENTITY = b"device-0badcafe"


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        # As captured of a DEALER: the bytes of each call of send().
        ([24, 10], [38]),
        ([24, 255], [283]),
        ([24, 256], [291]),
        ([20, 40], [64]),
        ([24, 8140], [8175]),
        ([24, 8183], [8192, 26]),
        ([24, 9000], [8192, 843]),
        ([24, 20000], [8192, 11843]),
        # By the encoder's rules alone.
        ([0], [2]),
        ([8183], [8192]),
        ([8184], [8192, 1]),
        ([8181, 20000], [8192, 8192, 11815]),
        ([20000, 30], [8192, 11817, 32]),
        ([8192 + 8183, 8192], [8192, 8192, 8192, 9]),
    ],
)
def test_writes_of_a_message(bodies, expected):
    assert list(writes(bodies)) == expected
    assert sum(expected) == sum(frame_size(body) for body in bodies)


class Tap:
    """Passes the bytes of one TCP connection on, and keeps those of each direction."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.up, self.down = bytearray(), bytearray()
        self._to = port
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self):
        self._thread.join()
        self.listener.close()

    def _accept(self):
        near, _ = self.listener.accept()
        with near, socket.create_connection(("127.0.0.1", self._to)) as far:
            back = threading.Thread(target=self._carry, args=(far, near, self.down))
            back.start()
            self._carry(near, far, self.up)
            back.join()

    @staticmethod
    def _carry(source, target, kept):
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_the_bytes_of_a_connection_are_those_of_a_real_one():
    message = to_frames(Opened(version=VERSION, session=1, length=0), b"p" * 300)
    context = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    tap = Tap(router.bind_to_random_port("tcp://127.0.0.1"))
    dealer.routing_id = IDENTITY
    dealer.heartbeat_ivl, dealer.heartbeat_timeout = 100, 10_000
    dealer.connect(f"tcp://127.0.0.1:{tap.port}")
    dealer.send_multipart(message)
    peer, *frames = router.recv_multipart()
    assert (peer, frames) == (IDENTITY, message)
    router.send_multipart([peer, *message])
    dealer.recv_multipart()
    while b"PONG" not in tap.down:
        dealer.poll(10)
    context.destroy(linger=0)
    tap.close()

    sizes = element_sizes(IDENTITY)
    greetings = [
        sum(sizes[each] for each in side)
        for side in (
            (Element.SIGNATURE, Element.VERSION_AND_REST),
            (Element.SIGNATURE_AND_VERSION, Element.REST),
        )
    ]
    assert greetings == [GREETING, GREETING]
    names = {"PING": Element.PING, "PONG": Element.PONG}
    for stream, ready in ((tap.up, Element.DEALER_READY), (tap.down, Element.ROUTER_READY)):
        found = [(each.name, each.end - each.spans[0].start) for each in elements(stream)]
        expected = {"READY": sizes[ready], **{name: sizes[each] for name, each in names.items()}}
        assert found[:2] == [("greeting", GREETING), ("READY", sizes[ready])]
        assert [size for name, size in found if name == "Opened"] == [
            sum(frame_size(len(frame)) for frame in message)
        ]
        assert {name for name, _ in found} - {"greeting", "Opened"} == {
            "READY", "PING" if stream is tap.up else "PONG",
        }  # fmt: skip
        for name, size in found:
            assert size == expected.get(name, size)
    flags, begin, end = frame_at(tap.down, GREETING + sizes[Element.ROUTER_READY])
    assert (flags & MORE, end - begin) == (MORE, len(message[0]))


def test_every_answer_has_a_size():
    sizes = element_sizes(b"")
    assert set(sizes) == set(Element)
    for element, answers in ANSWERS.items():
        assert {element, *answers} <= set(sizes)
