"""Reading the relay's packet logs, and whether their books balance."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from testbed.emulation.packet_log import End, Header, Line, PacketLine
from testbed.errors import TestbedError
from testbed.files.stored_json import decode


def read_packets(path: Path) -> Iterator[Line]:
    """Every line of a log: a Header, PacketLines and ChangeLines as they came, an End.

    Raises TestbedError when it cannot be read; a log that was cut off ends without an End.
    """
    read = 0
    try:
        with gzip.open(path) as lines:
            for line in lines:
                yield decode(line, cast("type[Line]", Line), f"{path}: line {read + 1}")
                read += 1
    except EOFError:
        return
    except (OSError, zlib.error) as error:
        raise TestbedError(f"{path}: cannot be read behind line {read}: {error}") from None


def judge_packets(path: Path) -> list[str]:
    """What is wrong with a log: each packet has one line, and they sum up to the end's sums."""
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
