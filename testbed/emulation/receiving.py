"""What the sockets that measure need: stamps by the kernel, and room for what is not read yet."""

import socket
import struct
import time

_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_STAMP = struct.Struct("qq")  # seconds and nanoseconds

CONTROL = socket.CMSG_SPACE(_STAMP.size)
"""Bytes of ancillary data that `recvmsg` needs for a stamp."""


def ask_for_stamps(receiver: socket.socket) -> None:
    """Let every `recvmsg` tell when its packet came in."""
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def arrival_time(control: list[tuple[int, int, bytes]]) -> float:
    """The arrival on the monotonic clock, in seconds, from what `recvmsg` gave besides the data.

    The kernel stamps arrivals on the wall clock; only the age of the stamp is used, so that waking
    up late, or a wall clock that is set meanwhile, does not move the arrival.
    """
    seconds, nanoseconds = _STAMP.unpack(control[0][2])
    now = time.monotonic()
    age = time.time() - (seconds + nanoseconds * 1e-9)
    return now - age if 0 <= age < 1 else now


def enlarge_receive_buffer(receiver: socket.socket, size: int) -> None:
    """Let packets of `size` bytes wait; without root, as much of it as the system allows."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
