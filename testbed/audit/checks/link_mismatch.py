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
        f"no link is silent, early, out of order or ahead of its trace, or over {LATE * 1e3:g} ms "
        "beyond the bounds of link_late, measured twice; else no run begins"
    )
    remedy = "`testbed doctor`; `testbed calibrate` shows how far off links are here"

    @override
    def judge(self, evidence: NetworkEvidence) -> Iterator[str]:
        for check in evidence.links:
            if severity(check) == "invalid":
                yield why(check)
