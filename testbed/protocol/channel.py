"""The interface of a channel between a device and its verifier."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from typing_extensions import override

from testbed.errors import TestbedError

T = TypeVar("T")

LONGEST_TIMEOUT = 86400.0
"""Seconds of real time; the limit is that sockets count milliseconds in 32 bits."""
HEARTBEAT = 5.0
"""Seconds between the heartbeats of a device."""


class Reconnected(Exception):  # noqa: N818 - an event, not an error
    """The connection was lost and is back; messages under way may be lost and must be resent."""


class LinkTimeout(TestbedError):  # noqa: N818 - the usual word for it
    """The other end did not answer in time."""


@dataclass(slots=True)
class Transmit:
    """Effect of a device: queue a message for its verifier; does not wait until it has left."""

    frames: list[bytes]


@dataclass(slots=True)
class Receive:
    """Effect of a device: wait up to `timeout` seconds of testbed.clock for the next message.

    Its result are the message's frames, None after the time-out. Drivers throw Reconnected into the
    generator after a loss.
    """

    timeout: float


Exchange: TypeAlias = Generator[Transmit | Receive, Any, T]
"""A generator that yields these effects and returns a T."""


class Channel(Protocol):
    """A device's channel to its verifier: whole messages, in order, while the connection holds.

    A message is a list of frames. Times are in seconds of testbed.clock.
    """

    peer: str
    """The name of the other end, for messages to the user."""

    def send(self, frames: list[bytes]) -> None:
        """Queue a message; raise LinkTimeout if it cannot be queued in time."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return the next message, None after `timeout` seconds; raise Reconnected after a loss."""

    def close(self) -> None:
        """Close the channel; messages that have not been sent are dropped."""


class NoChannel(Channel):
    """The channel of a device that has no verifier; sending raises LinkTimeout."""

    peer = "nobody"

    @override
    def send(self, frames: list[bytes]) -> None:
        raise LinkTimeout("this device was started without a verifier to connect to")

    @override
    def receive(self, timeout: float) -> list[bytes] | None:
        return None

    @override
    def close(self) -> None:
        pass
