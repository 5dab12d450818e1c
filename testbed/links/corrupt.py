"""Bit errors."""

from testbed.links.keyed_random import KeyedUniform

_HEADER = 14  # bytes: a wrong Ethernet address would hide the error from the receiver's checksums


class Corruption:
    """Flips one bit behind the Ethernet header of each packet with the same probability."""

    def __init__(self, whether: KeyedUniform, which: KeyedUniform) -> None:
        self._whether = whether
        self._which = which

    def __call__(self, number: int, frame: bytes, probability: float) -> bytes:
        """The frame of packet `number`, with a bit flipped or as it was."""
        bits = (len(frame) - _HEADER) * 8
        if probability == 0 or bits <= 0 or self._whether(number) >= probability:
            return frame
        bit = _HEADER * 8 + int(self._which(number) * bits)
        wrong = bytearray(frame)
        wrong[bit // 8] ^= 1 << bit % 8
        return bytes(wrong)
