"""Fixed-point distributions, losslessly compressed: classes by entropy coding, digits raw.

A language model's p̂ at 16 bits is zero for most of the vocabulary, and its other counts spread over
all magnitudes. A count's *class* is its number of binary digits, 0 for 0; V classes are coded by
asymmetric numeral systems under their own histogram, which goes ahead; of a count of k digits the
k - 1 below the leading one follow as they are. All classes together then take V·H(class) bits to
within two words of 32, and the whole, for any p̂ at all, at most V·b_p bits, the histogram and those
two words: the worst case is digits that are evenly spread.

Layout: for each class 1 … b_p its number of tokens in Elias gamma; the number of words; the words;
the digits, class by class, in the order of token ids.

The payload is the same on every machine. The coder works on integers: histogram entries become
probabilities in units of 2^-24 by one IEEE division and one multiplication and truncation each, in
a fixed order, without any function that libraries round differently (`perfect=False`; the library's
other fits go by logarithms). A version that fitted otherwise would be found out: the classes must
be as many as announced, the coder must end up empty, and all counts must sum to ℓ.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.bits import BitReader, BitWriter, PayloadError, width
from testbed.codecs.fixed_point import CompressedFixedPoint, FixedPoint
from testbed.decoding.lattice import Lattice
from testbed.errors import TestbedError


@dataclass(frozen=True)
class Entropy(CompressedFixedPoint):
    """Entropy-coded counts of one fixed precision."""

    name = "entropy"

    def __post_init__(self) -> None:
        """Raise TestbedError where the coder's package is missing."""
        if find_spec("constriction") is None:
            raise TestbedError(
                "entropy coding needs the package constriction, which PyPI has for Linux on "
                "x86_64 only; choose the form sparse, or build it from its sources"
            )

    @override
    def write(self, writer: BitWriter, distribution: Lattice) -> None:
        counts = distribution.counts
        classes = np.frexp(counts.astype(np.float64))[1]
        histogram = np.bincount(classes, minlength=FixedPoint(self.precision).bits + 1)
        for number in histogram[1:]:
            _write_gamma(writer, int(number))
        coder = _stream().stack.AnsCoder()
        coder.encode_reverse(classes.astype(np.int32), _model(histogram))
        words = coder.get_compressed()
        writer.write(words.size, width(_most_words(counts.size) + 1))
        writer.write_array(words.astype(np.int64), 32)
        ends = np.cumsum(histogram[2:-1])
        for k, kept in enumerate(np.split(counts[_with_digits(classes)], ends), 2):
            writer.write_array(kept - (1 << k - 1), k - 1)

    @override
    def read(self, reader: BitReader, vocabulary_size: int) -> Lattice:
        fixed = FixedPoint(self.precision)
        numbers = [_read_gamma(reader, vocabulary_size) for _ in range(fixed.bits)]
        rest = vocabulary_size - sum(numbers)
        if rest < 0:
            raise PayloadError("a distribution arrived damaged: its classes are more than tokens")
        histogram = np.array([rest, *numbers])
        classes = _read_classes(reader, histogram, vocabulary_size)
        counts = np.zeros(vocabulary_size, np.int64)
        counts[classes == 1] = 1
        counts[_with_digits(classes)] = np.concatenate(
            [
                reader.read_array(size, k - 1) + (1 << k - 1)
                for k, size in enumerate(histogram[2:].tolist(), 2)
            ]
        )
        return fixed.received(counts)


def _with_digits(classes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Ids of the tokens of class 2 and up, class by class."""
    ids = np.flatnonzero(classes > 1)
    # In 8 bits, which NumPy sorts by counting.
    return ids[np.argsort(classes[ids].astype(np.uint8), kind="stable")]


def _read_classes(
    reader: BitReader, histogram: NDArray[np.int64], vocabulary_size: int
) -> NDArray[np.int32]:
    size = reader.read(width(_most_words(vocabulary_size) + 1))
    words = reader.read_array(size, 32).astype(np.uint32)
    if size and words[-1] == 0:
        raise PayloadError("a distribution arrived damaged: its last word is 0")
    coder = _stream().stack.AnsCoder(words)
    classes: NDArray[np.int32] = coder.decode(_model(histogram), vocabulary_size)
    # Decoding undoes encoding step by step: only what was encoded leaves the coder empty.
    if not coder.is_empty() or (np.bincount(classes, minlength=histogram.size) != histogram).any():
        raise PayloadError("a distribution arrived damaged: its classes are not those announced")
    return classes


def _stream() -> Any:
    """Return constriction's coders; imported late, as not every machine has the package."""
    from constriction import stream  # noqa: PLC0415

    return stream


def _model(histogram: NDArray[np.int64]) -> Any:
    return _stream().model.Categorical(histogram.astype(np.float64), perfect=False)


def _most_words(vocabulary_size: int) -> int:
    """At most log2(33) bits a class, rounded up, and what the coder adds."""
    return vocabulary_size * 6 // 32 + 2


def _write_gamma(writer: BitWriter, number: int) -> None:
    """Append n >= 0: as many zeros as n + 1 has digits below the leading one, then n + 1."""
    writer.write(number + 1, 2 * (number + 1).bit_length() - 1)


def _read_gamma(reader: BitReader, most: int) -> int:
    digits = 0
    while reader.read(1) == 0:
        digits += 1
        if digits > (most + 1).bit_length():
            raise PayloadError(
                f"a distribution arrived damaged: a class has more than {most} tokens"
            )
    return (1 << digits | reader.read(digits)) - 1
