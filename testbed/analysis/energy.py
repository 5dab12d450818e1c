"""What decoding takes out of a device's battery, by a stated model: so much a pass of the draft
model and a bit sent.

A pass costs the same whether one token is drafted of it, several candidates for one position, or
none at all. The model is the scenario's own claim; nothing here was measured, and waiting,
receiving and the verifier's side cost nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from testbed.analysis.metrics import draft_passes
from testbed.links.units import parse_energy
from testbed.results.rows import Row
from testbed.scenario.schema import Energy


class Spent(NamedTuple):
    """Joules; of drafting None in older results, whose passes of the draft model are not known."""

    drafting: float | None
    sending: float

    @property
    def total(self) -> float | None:
        """Their sum."""
        return None if self.drafting is None else self.drafting + self.sending


def spent(energy: Energy, rows: Sequence[Row]) -> Spent:
    """Energy of these generations; bits are those of the frames on the device's own links."""
    bits = 8 * sum(row.uplink_wire_bytes for row in rows)
    passes = draft_passes(rows)
    drafting = None if passes is None else parse_energy(energy.per_drafted_token) * passes
    return Spent(drafting, parse_energy(energy.per_bit) * bits)


def energy_of(scenario: Mapping[str, Any]) -> Energy | None:
    """The model of a resolved scenario, if it states one."""
    stated = scenario.get("energy")
    return msgspec.convert(stated, Energy) if stated else None
