"""Processors that something else used while nodes decoded."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence

LIMIT = 0.1
"""The share of the processors' time that others may use during a generation."""
LEAST = 0.05  # seconds: what others use is counted in ticks, and a generation may be as short


class ProcessorUse(GenerationCheck):
    """The kernel's times of the processors that this run may use."""

    name = "processor_use"
    level = "suspect"
    limit = (
        f"other programs use at most {LIMIT * 100:g} % of the processors during a generation, and "
        f"so does the hypervisor (stolen time); up to {LEAST:g} s is always allowed"
    )
    remedy = "end other programs; on a virtual machine, take one with processors of its own"
    simulated = False

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        assert evidence.cpu is not None, "only simulated generations have no samples"
        before, after = evidence.cpu.before, evidence.cpu.after
        available = evidence.cpu.seconds * after.processors
        for who, used in (
            ("other programs", after.others - before.others),
            ("this machine's own host", after.stolen - before.stolen),
        ):
            if used > max(LIMIT * available, LEAST):
                yield (
                    f"{who} used {used:.2f} s of the processors' {available:.2f} s "
                    f"(limit {LIMIT * 100:g} %): this machine is too busy"
                )
