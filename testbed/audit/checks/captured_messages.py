"""Messages whose bytes on the wire are not those that the nodes counted."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.evidence import RunEvidence


class CapturedMessages(RunCheck):
    """The ledger of the captures, and the results of the devices."""

    name = "captured_messages"
    level = "invalid"
    limit = (
        "0 B of difference between the messages captured on the devices' links and those that the "
        "nodes counted, for each prompt, unless messages were sent again or a handover took place"
    )
    remedy = "report it: a node counts its messages wrongly, or their frames are read wrongly"
    simulated = False

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        if not evidence.captured:
            return
        for counted in evidence.counted:
            for direction, size in (counted.messages or {}).items():
                captured = sum(
                    entry.uses.messages + entry.uses.payload
                    for entry in evidence.ledger
                    if (entry.prompt, entry.direction) == (counted.prompt, direction)
                    and entry.link in evidence.first_links
                )
                if captured != size:
                    yield (
                        f"{evidence.prompt(counted.prompt)}: {captured} B of messages captured "
                        f"{direction}, {size} by the nodes"
                    )
