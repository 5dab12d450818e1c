"""A packet on a link."""

from typing import NamedTuple


class Packet(NamedTuple):
    """An Ethernet frame and its place in its direction of the link, counted from 0."""

    number: int
    frame: bytes
