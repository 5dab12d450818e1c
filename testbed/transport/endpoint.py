"""Addresses of a verifier as users write them: tcp://host:port, an IPv6 address in brackets.

They are checked here because ZeroMQ accepts wrong ones: it tries a host name that cannot be
resolved for ever.
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
    """True if ZeroMQ's option for IPv6 must be set."""


def to_connect(text: str, where: str) -> Endpoint:
    """Return the endpoint that a device connects to, with the host resolved, IPv4 preferred.

    An address that does not start with tcp: is kept as it is. Raises TestbedError, starting with
    `where`, for text of another form, and for a host that cannot be resolved.
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
    """Return the endpoint that a verifier listens on: a numeric address, * or an interface.

    An address that does not start with tcp: is kept as it is. Raises TestbedError, starting with
    `where`, for any other host.
    """
    if not text.startswith("tcp:"):
        return Endpoint(text, False)
    host, port = _parts(text, where)
    if _in_digits(host) and ":" in host:
        _addresses(host, where)  # raises if its zone does not exist
        return _six(host, port)
    interfaces = [name for _, name in socket.if_nameindex()]
    if host != "*" and not _in_digits(host) and host not in interfaces:
        raise TestbedError(
            f"{where}: {host} is neither a numeric address nor an interface of this machine, "
            f"which has {', '.join(interfaces)}"
        )
    return Endpoint(text, False)


def is_loopback(text: str) -> bool:
    """Return True if only this machine can connect: a numeric loopback address, or an ipc file.

    Host names return False, since a name may resolve to any address.
    """
    if text.startswith("ipc://"):
        return True
    try:
        return ipaddress.ip_address(_parts(text, "")[0]).is_loopback
    except (TestbedError, ValueError):
        return False


def _parts(text: str, where: str) -> tuple[str, str]:
    """Split a TCP address into host and port; raise TestbedError if it has another form."""
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
    """Resolve a host; return its addresses in the order that the machine prefers."""
    if _in_digits(host) and "%" not in host:
        return [host]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise TestbedError(f"{where}: the host {host} cannot be resolved: {why}") from None
    return [host] if "%" in host else [str(address[0]) for *_, address in found]
