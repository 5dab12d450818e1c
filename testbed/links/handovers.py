"""Handovers of a scenario: changes of the device's path from one radio link to another.

handovers:
  - {at: 5s, to: radio_2, stall: 60ms}
  - {at: 9s, to: radio}

Times are counted from the beginning of a run. At `at` the path changes in both directions. For the
time `stall` neither the old nor the new radio link begins to send a packet:

- packets in flight arrive;
- packets sent during the stall wait for the new link, as in the buffer of a device, or in the base
  station that forwards packets for a device that has left;
- packets that already waited for the old link leave by it after the stall.

Packets are lost only where a queue is full.
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
    """A change of the device's path. Times are in seconds from the beginning of a run."""

    time: Time = msgspec.field(name="at")
    """The time of the change from the beginning of a run, e.g. "5s"."""
    to: str
    """The radio link in use from then on, e.g. radio_2."""
    stall: Time = 0.0
    """The time for which no packet begins to be sent, e.g. "60ms"."""

    @property
    def end(self) -> float:
        """The time at which packets are sent again, in seconds."""
        return self.time + self.stall

    def to_mapping(self) -> dict[str, Any]:
        """Return the form that `read_handovers` reads, with every default filled in."""
        return write_fields(self)


def read_handovers(raw: Sequence[object], links: Sequence[str], where: str) -> list[Handover]:
    """Read the handovers of a scenario, in order of time.

    links: those between which the device can hand over; it starts on the first one.

    Raises TestbedError, beginning with `where` and the key, for a link that is unknown or already
    in use, and for a handover that begins before the one above it ends.
    """
    handovers: list[Handover] = []
    for index, each in enumerate(raw):
        place = f"{where}[{index}]"
        handover = _read_handover(each, place)
        if handover.to not in links:
            raise TestbedError(
                f"{place}.to: '{handover.to}' is not a radio link; choose from {', '.join(links)}"
            )
        if handover.to == (handovers[-1].to if handovers else links[0]):
            raise TestbedError(f"{place}.to: the device is on {handover.to} already")
        if handovers:
            _check_order(handovers[-1], handover, place)
        handovers.append(handover)
    return handovers


def held_links(handovers: Sequence[Handover], first: str) -> dict[str, list[Interval]]:
    """Return, by link, the intervals in which all packets wait; the device starts on `first`."""
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
