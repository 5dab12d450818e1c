"""A packet that arrives at a link, and a packet that leaves it."""

from typing import NamedTuple


class Packet(NamedTuple):
    """An Ethernet frame, its number in its direction (from 0), its time of arrival (seconds)."""

    number: int
    frame: bytes
    arrival: float


class Departure(NamedTuple):
    """A packet that leaves the link, and the time at which it is due (seconds)."""

    due: float
    packet: Packet
