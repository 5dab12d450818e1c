"""Atomic writing of files."""

from __future__ import annotations

import os
from pathlib import Path

from testbed.host.machine_errors import naming


def write_whole(path: Path, content: bytes) -> None:
    """Write or replace a file atomically.

    Raises OSError when it cannot be written; an old file then stays as it was.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        with naming(path):
            temporary.write_bytes(content)
        os.replace(temporary, path)  # noqa: PTH105  readers never see half a file
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
