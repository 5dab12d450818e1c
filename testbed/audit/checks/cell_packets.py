"""Packets that got lost where the devices of a cell meet their link."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence


class CellPackets(GenerationCheck):
    """The counters of the devices' interfaces and of the shared wire."""

    name = "cell_packets"
    level = "invalid"
    limit = "0 packets of difference between the devices of a cell and the link that they share"
    remedy = "look at the sysctls and routes in environment.json: the host between must forward"

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        for cell in evidence.cells:
            where = f"{cell.host}, before link {cell.link}"
            if cell.came != cell.taken_in:
                yield f"{where} up: {cell.came} packets came from devices, {cell.taken_in} went in"
            if cell.let_out != cell.went_on:
                yield f"{where} down: {cell.let_out} packets came out, {cell.went_on} went on"
