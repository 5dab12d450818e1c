"""Packet logs of the relay that lack packets, or have some twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from testbed.audit.base import RunCheck
from testbed.audit.evidence import RunEvidence
from testbed.audit.packet_logs import read_packets
from testbed.emulation.packet_log import End, Header, PacketLine


class PacketLogs(RunCheck):
    """The relay's packets.LINK.DIRECTION.jsonl.gz."""

    name = "packet_logs"
    level = "invalid"
    limit = "0 packets of difference between the lines of each packet log and the relay's counters"
    remedy = "make room on the disk, and `testbed run --resume RESULTS --redo`"
    simulated = False

    @override
    def judge(self, evidence: RunEvidence) -> Iterator[str]:
        for log in evidence.packet_logs:
            for reason in judge_packets(log):
                yield f"{evidence.folder}: {reason}"


def judge_packets(path: Path) -> list[str]:
    """Return the faults of a log: each packet has one line, and they sum up to its end."""
    lines = read_packets(path)
    header, end = next(lines, None), None
    if not isinstance(header, Header):
        return [f"{path.name} has no header"]
    numbers: set[int] = set()
    fates: Counter[str | None] = Counter()
    for line in lines:
        if isinstance(line, PacketLine):
            numbers.add(line.n)
            fates[line.dropped] += 1
        elif isinstance(line, End):
            end = line
    if end is None:
        return [f"{path.name} has no end"]
    repeated = fates.total() - len(numbers)
    if repeated > end.duplicated:
        return [f"{path.name} has {repeated} packets twice, where the link made {end.duplicated}"]
    logged = (fates.total() + end.in_flight, fates.pop(None, 0), dict(fates))
    counted = (end.received + end.duplicated, end.forwarded, end.dropped)
    if logged != counted:
        return [
            f"{path.name} holds {logged} packets received, forwarded and dropped, "
            f"where the link counted {counted}"
        ]
    return []
