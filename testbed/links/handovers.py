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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from testbed.errors import TestbedError
from testbed.links.field_readers import FieldReader, read_fields, require, scalar
from testbed.links.units import format_time, parse_time

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Handover:
    """From `time` on the path leads over the link `to`; nothing starts for `stall`. In seconds."""

    time: float
    to: str
    stall: float = 0.0

    @property
    def end(self) -> float:
        """When packets start again, in seconds."""
        return self.time + self.stall

    def to_mapping(self) -> dict[str, str]:
        """As `read_handovers` takes it, with every default filled in."""
        return {"at": format_time(self.time), "to": self.to, "stall": format_time(self.stall)}


def read_handovers(raw: Sequence[object], links: Sequence[str], where: str) -> list[Handover]:
    """The handovers of a scenario, in order.

    links: those that the device can hand over between; it is on the first one at first. Raises
    TestbedError, naming the place in the scenario, for what cannot be.
    """
    handovers: list[Handover] = []
    for index, each in enumerate(raw):
        place = f"{where}[{index}]"
        values = _read_handover(each, place)
        handover = Handover(values["at"], values["to"], values.get("stall", 0.0))
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


def _read_handover(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TestbedError(
            f"{place}: a handover is a mapping, e.g. {{at: 5s, to: radio_2, stall: 60ms}}"
        )
    values = read_fields(value, _READERS, place)
    require(value, ("at", "to"), place)
    return values


def _check_order(before: Handover, handover: Handover, place: str) -> None:
    if handover.time < before.end or handover.time == before.time:
        raise TestbedError(
            f"{place}.at: {format_time(handover.time)} does not come after the handover above it, "
            f"which ends at {format_time(before.end)}"
        )


_READERS: dict[str, FieldReader] = {
    "at": scalar(parse_time),
    "to": scalar(str),
    "stall": scalar(parse_time),
}
