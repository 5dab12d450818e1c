"""A raw packet socket on one port of a wire."""

import socket
import struct

from testbed.emulation.receiving import (
    CONTROL,
    arrival_time,
    ask_for_stamps,
    enlarge_receive_buffer,
)

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1

_RECEIVE_BUFFER = 16 * 2**20  # bytes
_LARGEST_FRAME = 2048


class Port:
    """Receives every frame that comes in on an interface, and none that is sent from it."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        promiscuous = struct.pack(
            "iHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b""
        )
        self.socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
        ask_for_stamps(self.socket)
        enlarge_receive_buffer(self.socket, _RECEIVE_BUFFER)
        # Bound last: frames come in from here on.
        self.socket.bind((interface, _ETH_P_ALL))
        self.socket.setblocking(False)
        self._drops = 0

    @property
    def receive_buffer(self) -> int:
        """The size of the receive buffer in bytes, as the kernel counts them."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def receive(self) -> tuple[float, bytes]:
        """Return the arrival time, in seconds of the monotonic clock, and one frame.

        Raises BlockingIOError when there is none.
        """
        frame, control, _flags, _address = self.socket.recvmsg(_LARGEST_FRAME, CONTROL)
        return arrival_time(control), frame

    def drops(self) -> int:
        """Return how many frames the kernel has dropped because the buffer was full."""
        statistics = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._drops += struct.unpack("II", statistics)[1]  # reading resets the kernel's count
        return self._drops
