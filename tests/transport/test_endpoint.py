"""Addresses as users write them: those accepted, and the errors for the others."""

from __future__ import annotations

import contextlib
import socket

import pytest

from testbed.errors import TestbedError
from testbed.transport.endpoint import Endpoint, to_connect, to_listen
from testbed.transport.zmq_client import ZmqChannel

KNOWN = {"both.example": ["2001:db8::1", "192.0.2.1"], "six.example": ["2001:db8::1"]}


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Replace the resolver by one that has two names and one zone."""

    def look_up(host, port, **_):
        if host.endswith(("%eth0", "%lo")):
            return [(socket.AF_INET6, 1, 6, "", (host, 0, 0, 2))]
        if host not in KNOWN:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 1, 6, "", (address, 0)) for address in KNOWN[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])


@pytest.mark.parametrize(
    ("read", "written", "found"),
    [
        (to_connect, "tcp://192.0.2.7:5555", Endpoint("tcp://192.0.2.7:5555", False)),
        (to_connect, "tcp://[::1]:5555", Endpoint("tcp://[::1]:5555", True)),
        (to_connect, "tcp://[fe80::1%eth0]:5555", Endpoint("tcp://[fe80::1%eth0]:5555", True)),
        (to_connect, "tcp://both.example:1", Endpoint("tcp://192.0.2.1:1", False)),
        (to_connect, "tcp://six.example:1", Endpoint("tcp://[2001:db8::1]:1", True)),
        (to_connect, "ipc:///run/x", Endpoint("ipc:///run/x", False)),
        (to_listen, "tcp://127.0.0.1:*", Endpoint("tcp://127.0.0.1:*", False)),
        (to_listen, "tcp://*:5555", Endpoint("tcp://*:5555", False)),
        (to_listen, "tcp://eth0:5555", Endpoint("tcp://eth0:5555", False)),
        (to_listen, "tcp://[::]:5555", Endpoint("tcp://[::]:5555", True)),
        (to_listen, "tcp://[fe80::1%lo]:5555", Endpoint("tcp://[fe80::1%lo]:5555", True)),
        (to_listen, "ipc:///run/x", Endpoint("ipc:///run/x", False)),
    ],
)
def test_where_a_device_connects_and_a_verifier_listens(read, written, found):
    assert read(written, "x") == found


FORM = "x: write it as tcp://host:port, an IPv6 address in brackets, tcp://[::1]:5555"


@pytest.mark.parametrize(
    ("read", "written", "why"),
    [
        *((each, text, FORM) for each in (to_connect, to_listen) for text in (
            "tcp://::1:5555", "tcp://[::1]", "tcp://[::1:5555", "tcp://host", "tcp://:1",
            "tcp://[127.0.0.1]:1", "tcp://[name]:1", "tcp://h:-1", "tcp://h:http", "tcp:x", "tcp://h:1/",
        )),
        (to_connect, "tcp://h:70000", "x: port 70000 is above 65535"),
        (to_connect, "tcp://h.example:*", "x: a device needs the port"),
        (to_connect, "tcp://n.example:1", "x: the host n.example cannot be resolved: Name or"),
        (to_connect, "tcp://[fe80::1%no]:1", "x: the host fe80::1%no cannot be resolved: Name or"),
        (to_listen, "tcp://[fe80::1%no]:1", "x: the host fe80::1%no cannot be resolved: Name or"),
        (to_listen, "tcp://both.example:1", "x: both.example is neither a numeric address nor "
         "an interface of this machine, which has lo, eth0"),
    ],
)  # fmt: skip
def test_the_real_cause_is_named(read, written, why):
    with pytest.raises(TestbedError) as refused:
        read(written, "x")
    assert str(refused.value).startswith(why)


def test_a_host_without_an_address_is_not_waited_for():
    with (
        pytest.raises(TestbedError, match=r"the host nope\.example cannot be resolved"),
        contextlib.closing(ZmqChannel("tcp://nope.example:1", "device", "verifier", 60)),
    ):
        pass
