"""How a scenario writes handovers: changes of the device's path from one radio link to another.

handovers:
  - {at: 5s, to: radio_2, stall: 60ms}
  - {at: 9s, to: radio}

Times are seconds from the beginning of a run of a method. At `at` the path changes in both
directions, and for `stall` neither the old nor the new radio link begins to send a packet. So what
was under way arrives; what was sent during the stall waits for the new link, as a device buffers
it, and as a base station forwards what comes for a device that has left; what already waited for
the old link leaves by it when the stall is over. Nothing is lost but what a queue does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from testbed.config.convert import convert
from testbed.config.written import write_fields
from testbed.errors import TestbedError
from testbed.links.quantities import Time
from testbed.links.units import format_time

Interval = tuple[float, float]


class Handover(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of the device's path; times in seconds."""

    time: Time = msgspec.field(name="at")
    """When the path changes, from the beginning of a run."""
    to: str
    """The link that it leads over from then on."""
    stall: Time = 0.0
    """For how long nothing starts."""

    @property
    def end(self) -> float:
        """When packets start again, in seconds."""
        return self.time + self.stall

    def to_mapping(self) -> dict[str, Any]:
        """As `read_handovers` takes it, with every default filled in."""
        return write_fields(self)


def read_handovers(raw: Sequence[object], links: Sequence[str], where: str) -> list[Handover]:
    """The handovers of a scenario, in order.

    links: those that the device can hand over between; it is on the first one at first. Raises
    TestbedError, naming the place in the scenario, for what cannot be.
    """
    handovers: list[Handover] = []
    for index, each in enumerate(raw):
        place = f"{where}[{index}]"
        handover = _read_handover(each, place)
        if handover.to not in links:
            raise TestbedError(
                f"{place}.to: '{handover.to}' is not one; choose from {', '.join(links)}"
            )
        if handover.to == (handovers[-1].to if handovers else links[0]):
            raise TestbedError(f"{place}.to: the device is on {handover.to} already")
        if handovers:
            _check_order(handovers[-1], handover, place)
        handovers.append(handover)
    return handovers


def held_links(handovers: Sequence[Handover], first: str) -> dict[str, list[Interval]]:
    """When each link holds all packets, by its name; `first` is the one in use at first."""
    held: dict[str, list[Interval]] = {}
    for before, handover in pairwise([Handover(0.0, first), *handovers]):
        for link in (before.to, handover.to):
            if handover.stall > 0:
                held.setdefault(link, []).append((handover.time, handover.end))
    return held


def _read_handover(value: object, place: str) -> Handover:
    if not isinstance(value, Mapping):
        raise TestbedError(
            f"{place}: a handover is a mapping, e.g. {{at: 5s, to: radio_2, stall: 60ms}}"
        )
    return convert(value, Handover, f"{place}.")


def _check_order(before: Handover, handover: Handover, place: str) -> None:
    if handover.time < before.end or handover.time == before.time:
        raise TestbedError(
            f"{place}.at: {format_time(handover.time)} does not come after the handover above it, "
            f"which ends at {format_time(before.end)}"
        )
