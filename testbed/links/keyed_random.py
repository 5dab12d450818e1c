"""Random numbers that depend on the number of a packet, never on its time of arrival."""

import hashlib
from typing import NamedTuple


class RandomKey(NamedTuple):
    """The key of all random numbers of one direction of one link in one run."""

    seed: int
    link: str
    direction: str
    repetition: int = 0


class KeyedUniform:
    """Uniform random numbers on [0, 1), one per packet, fixed by a key and a purpose.

    The same key, purpose and packet number always give the same number. So two runs with one seed
    lose the same packets even if their timing differs.
    """

    def __init__(self, key: RandomKey, purpose: str) -> None:
        self._key = hashlib.blake2b(repr((*key, purpose)).encode(), digest_size=32).digest()

    def __call__(self, number: int) -> float:
        """Return the random number of packet `number`, counted from 0."""
        digest = hashlib.blake2b(number.to_bytes(8, "big"), key=self._key, digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) * 2.0**-53
