"""Settings of sockets that measure: time stamps by the kernel, and a large receive buffer."""

import socket
import struct
import time

_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_STAMP = struct.Struct("qq")  # seconds and nanoseconds

CONTROL = socket.CMSG_SPACE(_STAMP.size)
"""Bytes of ancillary data that `recvmsg` needs for a stamp."""


def ask_for_stamps(receiver: socket.socket) -> None:
    """Have the kernel stamp each packet of a socket with its time of arrival."""
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def arrival_time(control: list[tuple[int, int, bytes]]) -> float:
    """Return the arrival in seconds of the monotonic clock; control: ancillary data of `recvmsg`.

    The kernel stamps arrivals on the wall clock. Only the age of the stamp is used, so that neither
    a late wake-up nor a change of the wall clock moves the arrival.
    """
    seconds, nanoseconds = _STAMP.unpack(control[0][2])
    now = time.monotonic()
    age = time.time() - (seconds + nanoseconds * 1e-9)
    return now - age if 0 <= age < 1 else now


def enlarge_receive_buffer(receiver: socket.socket, size: int) -> None:
    """Set the receive buffer to `size` bytes; without root, to as much as the system allows."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
