"""The line between a device and a verifier, as the protocol sees it."""

from __future__ import annotations

from typing import Protocol

from testbed.errors import TestbedError

LONGEST_TIMEOUT = 86400.0
"""Seconds of real time; sockets count milliseconds in 32 bits."""


class Reconnected(Exception):  # noqa: N818 - an event, not an error
    """The line was lost and is back; what was under way may be gone and must be sent again."""


class LinkTimeout(TestbedError):  # noqa: N818 - what it is called everywhere
    """The other side did not answer in time."""


class Channel(Protocol):
    """A device's line to its verifier: whole messages, in order, while the line holds.

    Times are those of testbed.clock.
    """

    peer: str
    """Who is at the other end, for messages to the user."""

    def send(self, frames: list[bytes]) -> None:
        """Queue a message. Raises LinkTimeout when the line does not take it."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """The next message, or None after `timeout` seconds. Raises Reconnected."""

    def close(self) -> None:
        """Let the line go; messages not yet sent are dropped."""


class NoChannel:
    """The line of a device that has no verifier."""

    peer = "nobody"

    def send(self, frames: list[bytes]) -> None:
        """See Channel. Always raises."""
        raise LinkTimeout("this device was started without a verifier to connect to")

    def receive(self, timeout: float) -> list[bytes] | None:
        """See Channel."""
        return None

    def close(self) -> None:
        """See Channel."""
