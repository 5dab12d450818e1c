"""A relay that let packets go later than they were due."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence

LATE = 5e-3  # seconds


class RelayLateness(GenerationCheck):
    """The relay's own record; netem keeps none."""

    name = "relay_lateness"
    level = "suspect"
    limit = f"99 % of the packets of a link leave the relay at most {LATE * 1e3:g} ms late"
    remedy = "leave the machine to the testbed, run fewer jobs, or set time_dilation"
    simulated = False

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        for link in evidence.links:
            for where, direction, _, _ in link.directions():
                if direction.lateness and direction.lateness.p99 > LATE:
                    yield (
                        f"{where}: 1 % of packets left over {direction.lateness.p99 * 1e3:.1f} ms "
                        f"late (limit {LATE * 1e3:g} ms): this machine is too busy"
                    )
