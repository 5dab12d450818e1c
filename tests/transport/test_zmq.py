"""The protocol over real sockets on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest
import zmq

from testbed.device import decode
from testbed.errors import TestbedError
from testbed.traces.events import Tracer
from testbed.transport.channel import LinkTimeout
from testbed.transport.messages import MAX_MESSAGE
from testbed.transport.server import VerifierServer
from testbed.transport.zmq_client import ZmqChannel
from testbed.transport.zmq_server import ZmqVerifier
from tests.toy import decode_locally, models, task

DRAFT, TARGET = models(20)


@contextlib.contextmanager
def verifier(port: int | None = None):
    """A verifier in a thread; yields its port."""
    port = port or free_port()
    served = ZmqVerifier(VerifierServer(TARGET), f"tcp://127.0.0.1:{port}", timeout=60)
    stop, told = os.pipe()
    thread = threading.Thread(target=served.serve, args=(stop, lambda: False))
    thread.start()
    try:
        yield port
    finally:
        os.close(told)
        thread.join()
        served.close()
        os.close(stop)


def free_port() -> int:
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        return socket.bind_to_random_port("tcp://127.0.0.1")


def connect(port: int, name: str = "device") -> ZmqChannel:
    return ZmqChannel(f"tcp://127.0.0.1:{port}", name, "verifier", timeout=60)


def over(channel, the_task, progress=lambda tokens: None):
    return decode(
        the_task, (0, 1), DRAFT, channel, timeout=60, trace=Tracer("device"), progress=progress
    )


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


def test_two_devices_at_once():
    tasks = {"a": task("dsd", 80), "b": task("cloud_ar", 80)}
    got = {}
    with verifier() as port:

        def work(name):
            with contextlib.closing(connect(port, name)) as channel:
                got[name] = over(channel, tasks[name]).tokens

        threads = [threading.Thread(target=work, args=(name,)) for name in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
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
