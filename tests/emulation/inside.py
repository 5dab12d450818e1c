"""Helpers of the emulation tests: run a test in a sandbox, and open sockets in hosts."""

import contextlib
import functools
import os
import socket
import sys
import tempfile
import time

import pytest

from testbed.emulation import sandbox
from testbed.emulation.receiving import enlarge_receive_buffer
from testbed.errors import TestbedError
from testbed.links.spec import Duplex, LinkSpec

_INSIDE = "TESTBED_TEST_INSIDE"


def inside_sandbox(test, tries=1):
    """Run the test in a pytest of its own inside a sandbox; it passes if one of the tries does."""

    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        if _INSIDE in os.environ:
            if os.environ[_INSIDE] == "outside":
                os.environ[_INSIDE] = "entered"
                sandbox.enter()
            test(*args, **kwargs)
            return
        need_sandbox()
        node = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
        assert any(_run(node) == 0 for _ in range(tries)), (
            "the test failed inside the sandbox; see the captured output"
        )

    return pytest.mark.emulation(wrapper)


def timed_inside_sandbox(test):
    """Run a test of arrival times in a sandbox, up to three times.

    A busy machine may delay packets by chance; a fault shows in each try.
    """
    return inside_sandbox(test, tries=3)


def _run(node):
    """Run one test in a pytest inside a sandbox; return the exit code."""
    # Temporary files of its own: a pytest removes those of others that it takes for finished.
    with tempfile.TemporaryDirectory() as folder:
        options = ["-q", "-s", "-p", "no:cacheprovider", f"--basetemp={folder}/inside"]
        light = ["--noconftest", "-p", "pytest_timeout"]  # to load the others takes most of a start
        return sandbox.run_in_sandbox(
            [sys.executable, "-m", "pytest", *options, *light, node],
            env={**os.environ, _INSIDE: "outside", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )


def need_sandbox():
    try:
        sandbox.check_sandbox()
    except TestbedError as error:
        pytest.skip(str(error))


def symmetric(**values):
    return Duplex(up=LinkSpec(**values), down=LinkSpec(**values))


def connection(network, client, server):
    """Open a TCP connection between two hosts, and send bytes in both directions."""
    with network.inside(server).entered():
        listener = socket.create_server((network.address(server, client), 7000))
    with network.inside(client).entered():
        near = socket.create_connection(listener.getsockname(), timeout=60)
    far, _ = listener.accept()
    listener.close()
    for one, other in ((near, far), (far, near)):
        for _ in range(3):
            one.sendall(b"x" * 100)
            other.recv(100)
    return near, far


class Path:
    """A UDP path from one host to another, both ends held by this process."""

    PAYLOAD = 1400
    FRAME = PAYLOAD + 8 + 20 + 14

    def __init__(self, network, source, target, port=9000):
        self.to = (network.address(target, source), port)
        with network.inside(target).entered():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            enlarge_receive_buffer(self.receiver, 4 * 2**20)
            self.receiver.bind(("0.0.0.0", port))
        with network.inside(source).entered():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 2**20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sender.close()
        self.receiver.close()

    def send(self, number, size=PAYLOAD):
        self.sender.sendto(number.to_bytes(4, "big").ljust(size, b"x"), self.to)

    def receive(self, patience=1.0):
        """Return the numbers of the packets that arrive, until none has for `patience` seconds."""
        return [number for number, _ in self.receive_timed(patience)]

    def receive_timed(self, patience=1.0, most=None):
        self.receiver.settimeout(patience)
        got = []
        with contextlib.suppress(TimeoutError):
            while most is None or len(got) < most:
                data = self.receiver.recv(2048)
                got.append((int.from_bytes(data[:4], "big"), time.monotonic()))
        return got
