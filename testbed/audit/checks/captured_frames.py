"""Frames that were captured at the hosts of a link and not counted by it, or the other way."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.evidence import RunEvidence


class CapturedFrames(RunCheck):
    """The captures at both hosts of a link, and the counters of its wire."""

    name = "captured_frames"
    level = "invalid"
    limit = (
        "0 frames and 0 B of difference between the captures at both hosts of a link and its "
        "counters, for each prompt and direction"
    )
    remedy = "repeat the run on a less busy machine: `testbed run --resume RESULTS --redo`"
    simulated = False

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        for counted in evidence.counted:
            for link, directions in evidence.captured.items():
                for direction, each in directions.items():
                    where = f"{evidence.prompt(counted.prompt)}: link {link} {direction}"
                    for difference in each.differences(counted, link, direction):
                        yield f"{where}: {difference}"
