"""The protocol over real sockets on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest
import zmq

from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.protocol.channel import LinkTimeout, Reconnected
from testbed.protocol.messages import MAX_MESSAGE
from testbed.protocol.process_driver import generate
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport import zmq_client, zmq_server
from testbed.transport.zmq_client import ZmqChannel, harden
from testbed.transport.zmq_server import ZmqVerifier
from tests.support.toy import decode_locally, models, task

DRAFT, TARGET = models(20)


@contextlib.contextmanager
def verifier(port: int | None = None, host: str = "127.0.0.1"):
    """Run a verifier in a thread; yield its port."""
    port = port or free_port()
    served = ZmqVerifier(VerifierServer(TARGET), f"tcp://{host}:{port}", timeout=60)
    stop, stopper = os.pipe()
    thread = threading.Thread(target=served.serve, args=(stop, lambda: False))
    thread.start()
    try:
        yield port
    finally:
        os.close(stopper)
        thread.join()
        served.close()
        os.close(stop)


def free_port() -> int:
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        return socket.bind_to_random_port("tcp://127.0.0.1")


def connect(port: int, name: str = "device", line=ZmqChannel) -> ZmqChannel:
    return line(f"tcp://127.0.0.1:{port}", name, "verifier", timeout=60)


def over(channel, the_task, progress=lambda tokens: None):
    return generate(
        the_task, (0, 1), DRAFT, channel, timeout=60, trace=Tracer("device"), progress=progress
    )


def at_once(port: int, tasks, line=ZmqChannel):
    """Generate on several devices at the same time; return the results by device name."""
    got = {}

    def work(name):
        with contextlib.closing(connect(port, name, line)) as channel:
            got[name] = over(channel, tasks[name])

    threads = [threading.Thread(target=work, args=(name,)) for name in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


@pytest.mark.parametrize("method", ["cloud_ar", "dsd", "dssd"])
def test_sockets_carry_the_same_text_as_no_sockets(method):
    the_task = task(method, 60)
    with verifier() as port, contextlib.closing(connect(port)) as channel:
        got = over(channel, the_task)
    wanted = decode_locally(the_task, DRAFT, TARGET)
    assert got.tokens == wanted.tokens
    # Sessions are numbered at random, in up to five bytes each.
    assert abs(got.traffic.up_bytes - wanted.traffic.up_bytes) <= 4 * got.traffic.up_messages


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_a_verifier_that_restarts_is_told_the_text_again(method):
    the_task = task(method, 200)
    port = free_port()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(verifier(port))
        seen = []

        def restart(tokens):
            before = len(seen)
            seen.extend(tokens)
            if before < 50 <= len(seen):
                first.close()
                second.enter_context(verifier(port))

        with contextlib.closing(connect(port)) as channel:
            got = over(channel, the_task, restart)
    assert got.tokens == decode_locally(the_task, DRAFT, TARGET).tokens
    assert got.traffic.resends == 1


def test_the_loopback_address_of_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with (
        verifier(host="[::1]") as port,
        contextlib.closing(ZmqChannel(f"tcp://[::1]:{port}", "device", "verifier", 60)) as channel,
    ):
        assert len(over(channel, task("dsd", 5)).tokens) == 5


@pytest.mark.parametrize("asks_again", [False, True])
def test_streams_wait_for_slow_links(monkeypatch, asks_again):
    """With small queues and buffers, devices stop reading until theirs are full.

    Then they may ask again, although no message was lost.
    """
    full = {name: threading.Event() for name in ("a", "b")}

    class Slow(ZmqChannel):
        def __init__(self, endpoint, identity, *others, **named):
            super().__init__(endpoint, identity, *others, **named)
            self.full, self.received = full[identity], 0

        def receive(self, timeout):
            self.received += 1
            if self.received == 100:
                assert self.full.wait(60)
                if asks_again:
                    raise Reconnected
            return super().receive(timeout)

    def narrow(socket):
        harden(socket)
        socket.sndhwm, socket.rcvhwm, socket.sndbuf, socket.rcvbuf = 5, 1, 4096, 4096

    def note(self, peer, *answers):
        send(self, peer, *answers)
        if peer in self._waiting:
            full[peer.decode()].set()

    send = ZmqVerifier._send
    monkeypatch.setattr(zmq_client, "harden", narrow)
    monkeypatch.setattr(zmq_server, "harden", narrow)
    monkeypatch.setattr(ZmqVerifier, "_send", note)
    the_task = task("cloud_ar", 1000)
    wanted = decode_locally(the_task, DRAFT, TARGET).tokens
    with verifier() as port:
        got = at_once(port, dict.fromkeys(full, the_task), Slow)
    assert got.keys() == full.keys()
    for each in got.values():
        assert each.tokens == wanted
        assert each.traffic.up_messages == 3 + asks_again  # Open, Round, Close


def test_two_devices_at_once():
    tasks = {"a": task("dsd", 80), "b": task("cloud_ar", 80)}
    with verifier() as port:
        got = {name: each.tokens for name, each in at_once(port, tasks).items()}
    assert got == {k: decode_locally(t, DRAFT, TARGET).tokens for k, t in tasks.items()}


def test_nobody_there_is_a_timeout_that_names_the_place():
    port = free_port()
    with pytest.raises(LinkTimeout, match=rf"verifier at tcp://127.0.0.1:{port} did not answer"):
        ZmqChannel(f"tcp://127.0.0.1:{port}", "device", "verifier", timeout=0.3)


def test_a_port_in_use_is_named():
    with verifier() as port, pytest.raises(TestbedError, match=rf"{port}: Address already in use"):
        ZmqVerifier(VerifierServer(TARGET), f"tcp://127.0.0.1:{port}", timeout=60)


def test_rubbish_does_not_disturb_others():
    with verifier() as port, zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(f"tcp://127.0.0.1:{port}")
        stranger.send_multipart([b"GET / HTTP/1.1"])
        stranger.send_multipart([b"\x93\x01\x02", b""])
        assert stranger.poll(2000)
        assert b"could not be read" in stranger.recv_multipart()[0] + stranger.recv_multipart()[0]
        stranger.send(bytes(MAX_MESSAGE + 1))  # the line is dropped instead
        with contextlib.closing(connect(port)) as channel:
            got = over(channel, task("dsd", 20))
    assert got.tokens == decode_locally(task("dsd", 20), DRAFT, TARGET).tokens
