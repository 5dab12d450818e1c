"""Energy that decoding costs a device, by the scenario's model: joules per pass of the draft model
and per bit sent.

A pass costs the same whether it yields one draft, several candidates for one position, or none. The
model is stated by the scenario and nothing is measured; waiting, receiving and the verifier cost
nothing in it.
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
    """Joules. `drafting` is None in older results, which did not count draft passes."""

    drafting: float | None
    sending: float

    @property
    def total(self) -> float | None:
        """The sum of both; None where `drafting` is not known."""
        return None if self.drafting is None else self.drafting + self.sending


def spent(energy: Energy, rows: Sequence[Row]) -> Spent:
    """Return the energy of these generations; bits are those of frames that the device sent."""
    bits = 8 * sum(row.uplink_wire_bytes for row in rows)
    passes = draft_passes(rows)
    drafting = None if passes is None else parse_energy(energy.per_drafted_token) * passes
    return Spent(drafting, parse_energy(energy.per_bit) * bits)


def energy_of(scenario: Mapping[str, Any]) -> Energy | None:
    """Return the energy model of a resolved scenario, or None if it has none."""
    stated = scenario.get("energy")
    return msgspec.convert(stated, Energy) if stated else None
