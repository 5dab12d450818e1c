"""Contract of a simulation of one point of a sweep, on which the experiment does runs.

Its times are those of its virtual clock, in seconds from 0, and in ns in events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from testbed.events import Event
from testbed.links.schedule_cursor import Applied
from testbed.links.wire_counters import WireCounters
from testbed.protocol.control import Result
from testbed.protocol.request import DecodeRequest

Progress = Callable[[int, float], None]
"""Called with the tokens that devices have committed for a prompt, all together, and the seconds
that this took so far."""


Recoveries: TypeAlias = Mapping[str, Sequence[tuple[int, int]]]
"""By direction, when missing bytes were first sent, and when the copy that arrived was, in ns."""


class EndPackets(NamedTuple):
    """Packets counted by the two hosts of a link since it was built, each (up, down)."""

    sent: tuple[int, int]
    arrived: tuple[int, int]


@dataclass(frozen=True)
class NetworkCounters:
    """Counters of all links since the network was built, by the links' names.

    Plain links are among them, as links that drop and delay nothing.
    """

    wires: Mapping[str, WireCounters]
    ends: Mapping[str, EndPackets]


@dataclass(frozen=True)
class DecodedPrompt:
    """One prompt, decoded on all devices at the same time."""

    results: Mapping[str, Result]
    """By device."""
    events: Mapping[str, Sequence[Event]]
    """Events of this prompt by node, in the order of time, with all fields of testbed.events."""
    before: NetworkCounters
    """Before the devices received the prompt."""
    after: NetworkCounters
    """When the last acknowledgement had arrived."""


@dataclass(frozen=True)
class RunEnd:
    """The end of a run."""

    seconds: float
    """From its beginning, at which the links restart, to the end of its last generation."""
    begun: Mapping[str, float | None]
    """By shaped link, the seconds since time 0 of its schedule; None if that has not come."""
    changes: Mapping[str, Sequence[Applied]]
    """By shaped link, the changes of its schedule."""
    handovers: Sequence[Applied]
    """The handovers made, in the order of the scenario."""
    recoveries: Mapping[str, Recoveries]
    """By device; empty where none has a connection."""


class SimulatedRun(Protocol):
    """All prompts by one method in one repetition, one after the other on the same connections."""

    def decode(
        self, requests: Mapping[str, DecodeRequest], prompt: Sequence[int], progress: Progress
    ) -> DecodedPrompt:
        """Decode a prompt on every device, by its request; `prompt` has its token ids.

        Raises TestbedError, naming the link, for an answer that did not come within the time-out.
        """

    def end(self) -> RunEnd:
        """End the run."""


class Simulation(Protocol):
    """Network and nodes of one point, with their models loaded."""

    def begin(self, label: str, repetition: int, *, uses_verifier: bool) -> SimulatedRun:
        """Begin a run of the method with this label.

        The links restart with the randomness of the repetition, schedules begin, nodes connect
        anew. What earlier runs did has no effect on it.
        """

    def state(self) -> dict[str, Any]:
        """Return the settings of links and TCP, as values that JSON can hold."""
