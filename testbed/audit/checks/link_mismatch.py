"""A link whose behaviour before the run differs from its configuration."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import NetworkCheck
from testbed.audit.evidence import NetworkEvidence
from testbed.audit.measured_links import LATE, severity, why


class LinkMismatch(NetworkCheck):
    """The measurement before a run, repeated once where it failed."""

    name = "link_mismatch"
    level = "invalid"
    limit = (
        "every link delivers packets, in order unless it reorders, none early or ahead of its "
        f"trace, and at most {LATE * 1e3:g} ms beyond the limits of link_late; if it fails twice, "
        "no run begins"
    )
    remedy = "`testbed doctor`; `testbed calibrate` shows how far off links are here"
    simulated = False

    @override
    def judge(self, evidence: NetworkEvidence) -> Iterator[str]:
        for check in evidence.links:
            if severity(check) == "invalid":
                yield why(check)
