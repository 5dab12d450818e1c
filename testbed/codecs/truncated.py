"""Truncated sparse distributions: the likeliest tokens and one rounded value for each of them.

Sources: TSLT (arXiv 2512.16273) and its forerunner TK-SLT (arXiv 2509.04576); neither was at hand
in full. The device keeps a support S, the K likeliest tokens or the likeliest up to a mass, takes
q̃ = q / Σ_S q, and sends S with b_p bits per value. Here the values are rounded first, normalised
after that, and drawn from as rounded: q̂ = value / Σ value, in integers, so that what is sent is
what was drawn from. Rounding later, or normalising earlier, biases the output.

TSLT sends logits, TK-SLT probabilities. Here probabilities are rounded and sent, because of logits
the verifier would have to take exp and get the device's numbers to the last bit, which no two
mathematical libraries promise.

A token whose value rounds to 0 leaves the support before anything is drawn. A K of 320 on a q with
three tokens (temperature, top-k and top-p may leave so few) thus sends three; for that the number
of tokens n is sent with every q̂.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.bits import Payload, PayloadError, width
from testbed.codecs.wire_forms import FieldReader, FieldWriter, WireForm, field_reader, field_writer
from testbed.decoding.bit_counts import tk_slt_honest_bits
from testbed.decoding.lattice import Ids, Lattice
from testbed.decoding.sampling import Probabilities
from testbed.decoding.supports import top_k, top_p

Counts = NDArray[np.int64]
ValueFormat = Literal["fp16", "int8"]
_FP16_UNITS = 1 << 24
"""Every fp16 number up to 1 is a multiple of 2^-24, the smallest one above 0."""
_INT8_TOP = 255


class Truncated(Codec):
    """Per draft n, the values, the ids they belong to, and the drawn token's position in S.

    `plain`: ⌈log2 K⌉ + n (b_p + b_id) + ⌈log2 n⌉ bits, with V in place of K for top-p. `ranked`:
    log2 K + n b_p + log2 C(V, n) + log2 n, and a bit or two more (see Ranks), but 320 tokens take
    it milliseconds, and plain 0.05 ms.

    `fp16` sends q̃ as such. `int8` sends 255 q / max q, so that the likeliest token has 255 and
    what has less than 1/510 of its probability is dropped.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        top_k: int | None = None,
        top_p: float | None = None,
        values: ValueFormat = "fp16",
        index: WireForm = "plain",
    ) -> None:
        """Exactly one of `top_k` and `top_p` says what is kept. Raises ValueError otherwise."""
        if (top_k is None) == (top_p is None):
            raise ValueError("one of top_k and top_p must be given, and not both")
        if top_k is not None and not 1 <= top_k <= vocabulary_size:
            raise ValueError(
                f"top_k is {top_k}; it must be from 1 to the vocabulary's {vocabulary_size}"
            )
        self._vocabulary_size = vocabulary_size
        self._top_k = top_k
        self._top_p = top_p
        self._most = vocabulary_size if top_k is None else top_k
        self._values = values
        self._form: WireForm = index

    @override
    def quantise(self, q: Probabilities) -> Lattice:
        if self._top_k is not None:
            support = top_k(q, self._top_k)
        else:
            assert self._top_p is not None
            support = top_p(q, self._top_p)
        kept = q[support]
        if self._values == "fp16":
            values = (kept / kept.sum()).astype(np.float16)
            counts = (values.astype(np.float64) * _FP16_UNITS).astype(np.int64)
        else:
            counts = np.rint(kept * (_INT8_TOP / kept.max())).astype(np.int64)
        return self._lattice(counts[counts > 0], support[counts > 0])

    @override
    def encode(self, drafts: Sequence[Drawn]) -> Payload:
        writer = self.writer()
        for draft in drafts:
            self.write_values(writer, draft.q)
        # Apart from the values, because ranks take the longer the more comes behind them.
        for draft in drafts:
            self.write_support(writer, draft.q)
            writer.number(draft.q.place(draft.token), draft.q.support.size)
        return writer.payload()

    @override
    def decode(self, data: bytes, drafts: int) -> list[Drawn]:
        reader = self.reader(data, drafts)
        drawn = []
        for counts in [self.read_values(reader) for _ in range(drafts)]:
            q = self.read_support(reader, counts)
            place = reader.number(counts.size, "the place of a drafted token")
            drawn.append(Drawn(int(q.support[place]), q))
        reader.finish()
        return drawn

    @property
    def id_bits(self) -> int:
        """b_id."""
        return width(self._vocabulary_size)

    @override
    def formula_bits(self, q: Lattice) -> float:
        # TK-SLT's own account is K b_p: it forgets that the verifier must learn which tokens the
        # values belong to.
        return tk_slt_honest_bits(self._vocabulary_size, q.support.size, self._value_size * 8)

    @property
    @override
    def constant_bits(self) -> None:
        return None  # K varies, as no value that rounds to 0 is sent

    def writer(self) -> FieldWriter:
        """Begin an empty message."""
        return field_writer(self._form)

    def reader(self, data: bytes, drafts: int, candidates: int = 1) -> FieldReader:
        """Open a message that has arrived, with up to `candidates` tokens of each q̂.

        Raises PayloadError when it is longer than any of so many drafts.
        """
        kept = self._most * (8 * self._value_size + self.id_bits)
        most = width(self._most) + kept + candidates * self.id_bits
        return field_reader(self._form, data, drafts, most)

    def write_values(self, writer: FieldWriter, q: Lattice) -> None:
        """Append n and the values."""
        writer.number(q.support.size - 1, self._most)
        if self._values == "fp16":
            writer.raw((q.counts / _FP16_UNITS).astype(">f2").tobytes())
        else:
            writer.raw(q.counts.astype(np.uint8).tobytes())

    def write_support(self, writer: FieldWriter, q: Lattice) -> None:
        """Append the ids that the values belong to."""
        writer.subset(q.support, self._vocabulary_size)

    def read_values(self, reader: FieldReader) -> Counts:
        """Read counts, shape [n]. Raises PayloadError on what `quantise` never makes."""
        size = reader.number(self._most, "the number of kept tokens, less one,") + 1
        data = reader.raw(size * self._value_size)
        if self._values == "fp16":
            values = np.frombuffer(data, ">f2").astype(np.float64)
            # Rounding moves a value by 2^-11 of it at most; what was dropped was below 2^-24.
            slack = 2.0**-11 + self._most / _FP16_UNITS
            if not (values > 0).all() or not abs(values.sum() - 1) <= slack:
                raise PayloadError("fp16 values arrived that are not above 0 with a sum of about 1")
            return (values * _FP16_UNITS).astype(np.int64)
        counts = np.frombuffer(data, np.uint8).astype(np.int64)
        if counts.min() == 0 or counts.max() < _INT8_TOP:
            raise PayloadError(f"int8 values arrived with a 0, or without their top {_INT8_TOP}")
        return counts

    def read_support(self, reader: FieldReader, counts: Counts) -> Lattice:
        """Read the ids of these counts. Raises PayloadError on damage."""
        return self._lattice(counts, reader.subset(counts.size, self._vocabulary_size, "a support"))

    @property
    def _value_size(self) -> int:
        return 2 if self._values == "fp16" else 1

    def _lattice(self, counts: Counts, support: Ids) -> Lattice:
        return Lattice(counts, int(counts.sum()), support, self._vocabulary_size)
