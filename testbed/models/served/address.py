"""HTTP requests to an address: unix:/path/to/socket or http://host:port."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from typing_extensions import override

from testbed.errors import TestbedError, first_line

UNIX = "unix:"
START = "start one by: vllm serve MODEL --uds SOCKET --max-logprobs -1"
"""The remedy of most errors."""
_LONGEST = 300.0  # seconds to wait for a server that says nothing


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket, which network namespaces share."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_LONGEST)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def place_address(address: str, place: Callable[[str], str]) -> str:
    """Return the address with `place` applied to the path of a socket."""
    if address.startswith(UNIX):
        return UNIX + place(address.removeprefix(UNIX))
    return address


def require_address(address: str) -> None:
    """Raise TestbedError unless `address` has one of the two forms."""
    _connection(address)


def request(address: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
    """Post `body`, or get `path` if it is None; return the status and the answer.

    Raises TestbedError when the address has another form, nobody answers, or the answer has over
    `most` bytes.
    """
    connection = _connection(address)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read(most + 1)
    except (OSError, HTTPException) as error:
        raise TestbedError(
            f"no HTTP server answers at {address} ({first_line(error)}); {START}"
        ) from None
    finally:
        connection.close()
    if len(answer) > most:
        raise TestbedError(f"{address}{path}: the answer has over {most:,} bytes; {START}")
    return response.status, answer


def _connection(address: str) -> HTTPConnection:
    if address.startswith(UNIX) and address != UNIX:
        return _UnixConnection(address.removeprefix(UNIX))
    try:
        parts = urlsplit(address)
        if parts.scheme == "http" and parts.hostname and not parts.path.strip("/"):
            return HTTPConnection(parts.hostname, parts.port, timeout=_LONGEST)
    except ValueError:  # of the port
        pass
    raise TestbedError(
        f"'{address}' is not the address of a server; allowed are unix:/path/to/socket and "
        "http://host:port"
    )
