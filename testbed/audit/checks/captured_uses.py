"""Captured bytes for which there is no use."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.evidence import RunEvidence


class CapturedUses(RunCheck):
    """The ledger of the captures, see testbed.pcap.byte_ledger."""

    name = "captured_uses"
    level = "invalid"
    limit = "0 B captured on a link are without a use in ledger.json, for each prompt"
    remedy = "report it with the capture: its frames are read wrongly"
    simulated = False

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        for entry in evidence.ledger:
            if entry.unaccounted:
                where = f"{evidence.prompt(entry.prompt)}: link {entry.link} {entry.direction}"
                yield f"{where}: {entry.unaccounted} B have no use"
