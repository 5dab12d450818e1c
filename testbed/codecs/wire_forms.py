"""Two forms of a message of numbers, sets of ids and raw bytes.

`plain` writes field by field: ⌈log2⌉ bits for a number, b_id for each id of a set, as the papers
count. `ranked` makes the whole message one number: a few bits above the fewest, see Ranks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.bits import BitReader, BitWriter, Payload, PayloadError, width
from testbed.codecs.enumerative import Ranks, received
from testbed.decoding.lattice import Ids

WireForm = Literal["plain", "ranked"]


class FieldWriter(Protocol):
    """Takes the fields of a message in the order in which they will be read."""

    @abstractmethod
    def number(self, value: int, radix: int) -> None:
        """Append a number from 0 to `radix` - 1."""

    @abstractmethod
    def subset(self, ids: Ids, size: int) -> None:
        """Append a set of ascending ids below `size`; the reader must know how many."""

    @abstractmethod
    def raw(self, data: bytes) -> None:
        """Append bytes; the reader must know how many."""

    @abstractmethod
    def payload(self) -> Payload:
        """Return all that was written."""


class FieldReader(Protocol):
    """Gives the fields back. `what` names a field in the PayloadError that damage raises."""

    @abstractmethod
    def number(self, radix: int, what: str) -> int:
        """Read a number from 0 to `radix` - 1."""

    @abstractmethod
    def subset(self, count: int, size: int, what: str) -> Ids:
        """Read a set of `count` ascending ids below `size`."""

    @abstractmethod
    def raw(self, size: int) -> bytes:
        """Read `size` bytes."""

    @abstractmethod
    def finish(self) -> None:
        """Raise PayloadError when there is more."""


def field_writer(form: WireForm) -> FieldWriter:
    """Begin an empty message of this form."""
    return PlainWriter() if form == "plain" else RankedWriter()


def field_reader(form: WireForm, data: bytes, drafts: int, most: int) -> FieldReader:
    """Open a message of this form that has arrived, with drafts of `most` bits each at most.

    Raises PayloadError when a ranked one is longer; of a plain one no more is read than there is.
    """
    return PlainReader(data) if form == "plain" else RankedReader(received(data, drafts, most))


class PlainWriter(FieldWriter):
    """Writes field by field; numbers and ids in ⌈log2⌉ bits each, no byte aligned."""

    def __init__(self) -> None:
        self._bits = BitWriter()

    @override
    def number(self, value: int, radix: int) -> None:
        self._bits.write(value, width(radix))

    @override
    def subset(self, ids: Ids, size: int) -> None:
        bits = ids.size * width(size)
        packed = np.packbits(_bits_of(ids)[:, 32 - width(size) :]).tobytes()
        self._bits.write(int.from_bytes(packed, "big") >> (-bits % 8), bits)

    @override
    def raw(self, data: bytes) -> None:
        self._bits.write(int.from_bytes(data, "big"), len(data) * 8)

    @override
    def payload(self) -> Payload:
        return self._bits.payload()


class PlainReader(FieldReader):
    """Reads what a PlainWriter wrote."""

    def __init__(self, data: bytes) -> None:
        self._bits = BitReader(data)

    @override
    def number(self, radix: int, what: str) -> int:
        value = self._bits.read(width(radix))
        if value >= radix:
            raise PayloadError(f"{what} arrived as {value}; it must be below {radix}")
        return value

    @override
    def subset(self, count: int, size: int, what: str) -> Ids:
        bits = count * width(size)
        packed = (self._bits.read(bits) << (-bits % 8)).to_bytes((bits + 7) // 8, "big")
        flat = np.unpackbits(np.frombuffer(packed, np.uint8), count=bits)
        ids = flat.reshape(count, width(size)) @ (1 << np.arange(width(size))[::-1])
        if ids.max() >= size or not (ids[1:] > ids[:-1]).all():
            raise PayloadError(f"{what} arrived as something else than ascending ids below {size}")
        return ids

    @override
    def raw(self, size: int) -> bytes:
        return self._bits.read(size * 8).to_bytes(size, "big")

    @override
    def finish(self) -> None:
        self._bits.finish()


class RankedWriter(FieldWriter):
    """Makes one number of all fields, log2 C(size, K) bits for a set.

    Keeps the fields, since a stack is written from the last to the first.
    """

    def __init__(self) -> None:
        self._fields: list[Callable[[Ranks], None]] = []

    @override
    def number(self, value: int, radix: int) -> None:
        self._fields.append(lambda ranks: ranks.push(value, radix))

    @override
    def subset(self, ids: Ids, size: int) -> None:
        self._fields.append(lambda ranks: ranks.push_subset(ids, size))

    @override
    def raw(self, data: bytes) -> None:
        value = int.from_bytes(data, "big")
        self._fields.append(lambda ranks: ranks.push(value, 1 << len(data) * 8))

    @override
    def payload(self) -> Payload:
        ranks = Ranks()
        for push in reversed(self._fields):
            push(ranks)
        return ranks.payload()


class RankedReader(FieldReader):
    """Reads what a RankedWriter wrote."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    @override
    def number(self, radix: int, what: str) -> int:
        return self._ranks.pop(radix)

    @override
    def subset(self, count: int, size: int, what: str) -> Ids:
        return self._ranks.pop_subset(count, size)

    @override
    def raw(self, size: int) -> bytes:
        return self._ranks.pop(1 << size * 8).to_bytes(size, "big")

    @override
    def finish(self) -> None:
        self._ranks.finish()


def _bits_of(ids: Ids) -> NDArray[np.uint8]:
    """Return the 32 bits of each id, the highest first; shape [K, 32]."""
    return np.unpackbits(ids.astype(">u4").view(np.uint8)).reshape(-1, 32)
