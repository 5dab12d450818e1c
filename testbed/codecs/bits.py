"""Packing numbers into as many bits as they need, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError


class PayloadError(TestbedError, ValueError):
    """A payload that cannot be what its sender encoded: truncated, padded or out of range."""


def width(values: int) -> int:
    """Bits needed for one of `values` equally long codes: ⌈log2(values)⌉."""
    return (values - 1).bit_length()


@dataclass(frozen=True)
class Payload:
    """Encoded content: `data`, and how many bits of it carry information (the others pad)."""

    data: bytes
    bits: int


NOTHING = Payload(b"", 0)

_CHUNK = 1024
"""Bits that a writer keeps in one number at most."""


class BitWriter:
    """Writes big-endian bit fields and whole-byte arrays; a byte left unfinished is zero-padded.

    Takes time in proportion to what is written, in however many fields.
    """

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._value = 0  # bit fields that are not in `_done` yet
        self._pending = 0  # and their length
        self._bits = 0

    def write(self, value: int, bits: int) -> None:
        """Append `value` in `bits` bits. Raises ValueError when it does not fit."""
        if value < 0 or value >> bits:
            raise ValueError(f"{value} does not fit into {bits} bits")
        self._value = self._value << bits | value
        self._pending += bits
        self._bits += bits
        if self._pending >= _CHUNK:  # else each field would shift all that came before it
            rest = self._pending % 8
            self._done.append((self._value >> rest).to_bytes(self._pending // 8, "big"))
            self._value &= (1 << rest) - 1
            self._pending = rest

    def write_array(self, values: NDArray[np.int64], bits: int) -> None:
        """Append each of `values`, shape [n], in `bits` bits; at once, so that n may be large."""
        if values.size and (values.min() < 0 or int(values.max()) >> bits):
            raise ValueError(f"values up to {values.max()} do not fit into {bits} bits each")
        used = (bits + 7) // 8  # octets that are not 0 in all of them
        octets = values.astype(">u8").view(np.uint8).reshape(values.size, 8)[:, 8 - used :]
        grid = np.unpackbits(octets.ravel()).reshape(values.size, 8 * used)
        packed = np.packbits(grid[:, 8 * used - bits :].ravel())
        size = values.size * bits
        self.write(int.from_bytes(packed.tobytes(), "big") >> -size % 8, size)

    def write_bytes(self, data: bytes) -> None:
        """Append whole bytes, starting on a byte boundary so that large arrays aren't shifted."""
        self._align()
        self._done.append(data)
        self._bits += len(data) * 8

    def payload(self) -> Payload:
        """Return all that was written."""
        self._align()
        return Payload(b"".join(self._done), self._bits)

    def _align(self) -> None:
        padding = -self._pending % 8
        size = (self._pending + padding) // 8
        self._done.append((self._value << padding).to_bytes(size, "big"))
        self._value = self._pending = 0


class BitReader:
    """Reads what BitWriter wrote. Raises PayloadError where the data ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0  # in bits

    def read(self, bits: int) -> int:
        """Return the next `bits` bits as a number."""
        end = self._position + bits
        if end > len(self._data) * 8:
            raise PayloadError(f"payload of {len(self._data)} bytes ends inside a field")
        first, last = self._position // 8, (end + 7) // 8
        value = int.from_bytes(self._data[first:last], "big") >> (last * 8 - end)
        self._position = end
        return value & ((1 << bits) - 1)

    def read_array(self, count: int, bits: int) -> NDArray[np.int64]:
        """Return the next `count` numbers of `bits` bits each, shape [count]."""
        size = count * bits
        packed = (self.read(size) << -size % 8).to_bytes((size + 7) // 8, "big")
        used = (bits + 7) // 8
        grid = np.zeros((count, 8 * used), np.uint8)
        fields = np.unpackbits(np.frombuffer(packed, np.uint8), count=size)
        grid[:, 8 * used - bits :] = fields.reshape(count, bits)
        octets = np.zeros((count, 8), np.uint8)
        octets[:, 8 - used :] = np.packbits(grid.ravel()).reshape(count, used)
        return octets.view(">u8").reshape(count).astype(np.int64)

    def read_bytes(self, size: int) -> bytes:
        """Return the next `size` bytes from a byte boundary on."""
        self._align()
        start = self._position // 8
        if start + size > len(self._data):
            raise PayloadError(f"payload of {len(self._data)} bytes ends inside an array")
        self._position += size * 8
        return self._data[start : start + size]

    def finish(self) -> None:
        """Raise PayloadError unless nothing but zero padding is left."""
        self._align()
        left = len(self._data) * 8 - self._position
        if left:
            raise PayloadError(f"payload of {len(self._data)} bytes has {left // 8} too many")

    def _align(self) -> None:
        if self.read(-self._position % 8):
            raise PayloadError("the padding of a bit field is not zero")
