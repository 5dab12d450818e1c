"""A link that is a little later than it may be, before the run."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import NetworkCheck
from testbed.audit.evidence import NetworkEvidence
from testbed.audit.measured_links import LATE, severity, why
from testbed.results.link_check import burst_tolerance, tolerance


class LinkLate(NetworkCheck):
    """The measurement before a run, repeated once where it failed."""

    name = "link_late"
    level = "suspect"
    limit = (
        f"each link's median delay is within the larger of {tolerance(0) * 1e3:g} ms and "
        f"{tolerance(1) * 100:g} % of what was asked, its bursts within the larger of "
        f"{burst_tolerance(0) * 1e3:g} ms and {burst_tolerance(1) * 100:g} %, in one of two "
        f"measurements; up to {LATE * 1e3:g} ms later is suspect, anything worse is link_mismatch"
    )
    remedy = "leave the machine to the testbed, or run fewer jobs side by side"
    simulated = False

    @override
    def judge(self, evidence: NetworkEvidence) -> Iterator[str]:
        for check in evidence.links:
            if severity(check) == "suspect":
                yield why(check)
