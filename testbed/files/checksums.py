"""Checksums of the files of results, to detect truncated, changed or replaced ones."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from testbed.files.input_file import read_parts


class Checksum(msgspec.Struct, frozen=True):
    """Size and CRC of a file's content."""

    size: int
    """Bytes."""
    crc32: str
    """In hexadecimal."""


def checksum(path: Path, most: int = sys.maxsize) -> Checksum:
    """Return the checksum of the first `most` bytes of a file.

    Raises TestbedError when it cannot be read.
    """
    size = crc32 = 0
    for part in read_parts(path, str(path), most=sys.maxsize):
        taken = part[: most - size]
        size, crc32 = size + len(taken), zlib.crc32(taken, crc32)
    return Checksum(size, f"{crc32:08x}")


def checksums(folder: Path, paths: Iterable[Path]) -> dict[str, Checksum]:
    """Return the checksum of each of these files by its path relative to `folder`.

    Raises TestbedError when one cannot be read.
    """
    return {str(path.relative_to(folder)): checksum(path) for path in paths}
