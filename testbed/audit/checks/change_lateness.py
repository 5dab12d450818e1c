"""Links that changed later than their schedules say."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.change_records import LATE, lateness
from testbed.audit.evidence import RunEvidence


class ChangeLateness(RunCheck):
    """The scheduled and actual times in changes.LINK.jsonl."""

    name = "change_lateness"
    level = "suspect"
    limit = f"99 % of the changes of a link come at most {LATE * 1e3:g} ms late"
    remedy = "leave the machine to the testbed, run fewer jobs, or set time_dilation"

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        for link, applied in evidence.changes.items():
            if late := lateness(applied):
                yield f"{evidence.folder}: link {link}: 1 % of its changes {late}"
