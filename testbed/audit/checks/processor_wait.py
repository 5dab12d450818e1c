"""Nodes that had to wait for a processor.

The emulation keeps its time on a busy machine, as it has real-time priority. The models do not, so
tokens per second would then describe the machine rather than the method.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence

LIMIT = 0.1
"""The share of a generation's time that a thread of a node may wait."""


class ProcessorWait(GenerationCheck):
    """The kernel's schedstat of every thread of a node."""

    name = "processor_wait"
    level = "suspect"
    limit = (
        f"no thread of a node waits for a processor for over {LIMIT * 100:g} % of the time of a "
        "generation, by the kernel's schedstat"
    )
    remedy = "leave the machine to the testbed, run fewer jobs, or set fewer threads"
    simulated = False

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        assert evidence.cpu is not None, "only simulated generations have no samples"
        before, after, seconds = evidence.cpu.before, evidence.cpu.after, evidence.cpu.seconds
        for name, threads in after.waited.items():
            if not threads:
                yield f"{name}: this kernel does not tell how long it waited"
                continue
            waits = [now - before.waited[name].get(each, 0.0) for each, now in threads.items()]
            if max(waits) > LIMIT * seconds:
                yield (
                    f"{name} waited {max(waits):.2f} s of {seconds:.2f} s for a processor "
                    f"(limit {LIMIT * 100:g} %): this machine is too busy"
                )
