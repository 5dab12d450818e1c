"""A packet on a link, and what becomes of it."""

from typing import NamedTuple


class Packet(NamedTuple):
    """An Ethernet frame, its place in its direction of the link (from 0), its arrival (seconds)."""

    number: int
    frame: bytes
    arrival: float


class Departure(NamedTuple):
    """A packet that leaves the link, and when it is due there (seconds)."""

    due: float
    packet: Packet
