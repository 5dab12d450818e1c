"""A middlebox between a device and a verifier that forgets a connection once."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

GREETED = 200
"""Bytes up after which ZeroMQ has sent its identity and the device has resent its round."""


def reset(side: socket.socket) -> None:
    """End a connection by a reset."""
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RD)  # wakes a thread that reads there
    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    side.close()


class Nat:
    """Forwards bytes in both directions, but drops the first connection after so many bytes up.

    The device is reset and connects anew. What it had sent last reaches the verifier after that,
    and then the end of the old connection.
    """

    def __init__(self, port: int, forgets_after: int) -> None:
        self.delivered = 0
        """Bytes that were delivered late."""
        self._port = port
        self._forgets_after = forgets_after
        self._late: tuple[socket.socket, bytes] | None = None
        self._forgot = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[int]:
        """Yield the port that stands for the verifier's."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                device, _ = listener.accept()
                verifier = socket.create_connection(("127.0.0.1", self._port))
                for work in self._up, self._down:
                    threading.Thread(target=work, args=(device, verifier), daemon=True).start()

    def _up(self, device: socket.socket, verifier: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := device.recv(4096):
                sent += len(data)
                if sent > self._forgets_after and not self._forgot:
                    self._forgot = True
                    self._late = verifier, data
                    reset(device)
                    return
                verifier.sendall(data)
                if self._late and sent > GREETED:
                    old, late = self._late
                    old.sendall(late)
                    time.sleep(0.05)
                    reset(old)
                    self._late, self.delivered = None, len(late)

    def _down(self, device: socket.socket, verifier: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := verifier.recv(4096):
                device.sendall(data)
