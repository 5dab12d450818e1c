"""Handovers that were made later than the scenario says."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.change_records import LATE, lateness
from testbed.audit.evidence import RunEvidence


class HandoverLateness(RunCheck):
    """The scheduled and actual times in handovers.jsonl."""

    name = "handover_lateness"
    level = "suspect"
    limit = f"99 % of the handovers of a run are made at most {LATE * 1e3:g} ms late"
    remedy = "leave the machine to the testbed, run fewer jobs, or set time_dilation"

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        if late := lateness(evidence.handovers):
            yield f"{evidence.folder}: 1 % of the handovers {late}"
