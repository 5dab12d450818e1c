"""Reading the relay's packet logs."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from testbed.emulation.packet_log import Line
from testbed.errors import TestbedError
from testbed.files.stored_json import decode


def read_packets(path: Path) -> Iterator[Line]:
    """Yield every line of a log: a Header, PacketLines and ChangeLines in their order, an End.

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
