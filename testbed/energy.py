"""What decoding takes out of a device's battery, by a stated model: so much a draft and a bit sent.

The model is the scenario's own claim; nothing here was measured, and waiting, receiving and the
verifier's side cost nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from testbed.links.units import parse_energy
from testbed.traces.summary import Row


class Spent(NamedTuple):
    """Joules."""

    drafting: float
    sending: float


class Energy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """J per drafted token and J per bit sent, as scenarios write them: "80mJ"."""

    per_drafted_token: str
    per_bit: str

    def __post_init__(self) -> None:
        for value in (self.per_drafted_token, self.per_bit):
            parse_energy(value)

    def spent(self, rows: Iterable[Row]) -> Spent:
        """What these texts took. Bits are those of the frames on the device's own links."""
        drafted = bits = 0
        for row in rows:
            # What decodes alone on the device drafts all of its tokens.
            drafted += row.drafted if row.uplink_message_bytes else row.tokens
            bits += 8 * row.uplink_wire_bytes
        draft, bit = parse_energy(self.per_drafted_token), parse_energy(self.per_bit)
        return Spent(draft * drafted, bit * bits)


def energy_of(scenario: Mapping[str, Any]) -> Energy | None:
    """The model of a resolved scenario, if it states one."""
    stated = scenario.get("energy")
    return msgspec.convert(stated, Energy) if stated else None
