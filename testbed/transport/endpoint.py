"""Addresses that people write for a verifier: tcp://host:port, an IPv6 address in brackets.

ZeroMQ takes them all and says little of what is wrong: a name without an address is tried for ever.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from testbed.errors import TestbedError

_FORM = re.compile(r"tcp://(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d+|\*)")
_HOW = "write it as tcp://host:port, an IPv6 address in brackets, tcp://[::1]:5555"
_HIGHEST = 65535


class Endpoint(NamedTuple):
    """An address as ZeroMQ takes it."""

    text: str
    ipv6: bool
    """True where ZeroMQ must be told so."""


def to_connect(text: str, where: str) -> Endpoint:
    """Where a device connects, the host looked up; one that is no TCP stays as it is.

    Raises TestbedError, starting with `where`, for what is no address or has none.
    """
    if not text.startswith("tcp:"):
        return Endpoint(text, False)
    host, port = _parts(text, where)
    if port in {"*", "0"}:
        raise TestbedError(f"{where}: a device needs the port that the verifier listens on; {_HOW}")
    found = _addresses(host, where)
    four = [each for each in found if ":" not in each]
    return Endpoint(f"tcp://{four[0]}:{port}", False) if four else _six(found[0], port)


def to_listen(text: str, where: str) -> Endpoint:
    """Where a verifier listens: an address in digits, * or an interface.

    Raises TestbedError, starting with `where`, for anything else.
    """
    if not text.startswith("tcp:"):
        return Endpoint(text, False)
    host, port = _parts(text, where)
    if _in_digits(host) and ":" in host:
        _addresses(host, where)  # for its zone
        return _six(host, port)
    interfaces = [name for _, name in socket.if_nameindex()]
    if host != "*" and not _in_digits(host) and host not in interfaces:
        raise TestbedError(
            f"{where}: {host} is neither an address in digits nor an interface of this machine, "
            f"which has {', '.join(interfaces)}"
        )
    return Endpoint(text, False)


def is_loopback(text: str) -> bool:
    """Return True where nobody else can connect for certain: a loopback address in digits, a file.

    A name may mean anything on this machine.
    """
    if text.startswith("ipc://"):
        return True
    try:
        return ipaddress.ip_address(_parts(text, "")[0]).is_loopback
    except (TestbedError, ValueError):
        return False


def _parts(text: str, where: str) -> tuple[str, str]:
    """Host and port."""
    form = _FORM.fullmatch(text)
    if form is None or (form["six"] and not (_in_digits(form["six"]) and ":" in form["six"])):
        raise TestbedError(f"{where}: {_HOW}")
    if form["port"] != "*" and int(form["port"]) > _HIGHEST:
        raise TestbedError(f"{where}: port {form['port']} is above {_HIGHEST}")
    return form["six"] or form["host"], form["port"]


def _six(address: str, port: str) -> Endpoint:
    return Endpoint(f"tcp://[{address}]:{port}", True)


def _in_digits(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _addresses(host: str, where: str) -> list[str]:
    """The addresses of a host, in the order that the machine prefers."""
    if _in_digits(host) and "%" not in host:
        return [host]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise TestbedError(f"{where}: the host {host} cannot be resolved: {why}") from None
    return [host] if "%" in host else [str(address[0]) for *_, address in found]
