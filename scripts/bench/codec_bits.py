#!/usr/bin/env python3
"""Measures the codecs for q̂ on a language model's own distributions: bits, and time on one core.

    python scripts/bench/codec_bits.py [--json FILE]

On an otherwise idle machine, with the default model fetched. SmolLM2 (49,152 tokens) continues the
quickstart's prompts at temperature 1; its distributions are quantised and sent in messages of four
drafts. Time is the best of some tries for each message, per draft, and the median over messages.
Exits with 1 when a codec is slower than its limit.

`least` is log2 of the number of messages that begin alike (same codec, same sizes), `above` by how
many bits the worst message exceeds it. `copy` is the time of encoding and decoding in units of a
plain dense copy: V probabilities to fp16 bytes and back. `range coder` is the same content through
constriction's: sets of ids as V yes-or-no symbols of one probability each.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import yaml
from constriction import stream
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.simplex import Simplex
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.codecs.sqs import Sqs
from testbed.codecs.truncated import Truncated
from testbed.codecs.wire_forms import WireForm
from testbed.decoding.bit_counts import k_sqs_bits, log2_binomial
from testbed.decoding.conformal import OnlineThreshold
from testbed.decoding.lattice import Lattice
from testbed.decoding.randomness import KeyedRandomness
from testbed.decoding.sampling import Probabilities, Sampling, distribution
from testbed.decoding.supports import top_k
from testbed.errors import TestbedError
from testbed.models.cached_reader import CachedReader
from testbed.models.load import load_model
from testbed.models.store.catalog import resolve
from testbed.models.store.fetch import DEFAULT_MODEL

PROMPTS = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"
POSITIONS, DRAFTS, TRIES = 64, 4, 5


@dataclass(frozen=True)
class Row:
    """One codec of the table."""

    name: str
    codec: Codec
    least: Callable[[Lattice], float]
    """log2 of how many messages of one draft there are that begin like this one."""
    limit_ms: float | None
    """For encoding and decoding one draft; None where nothing is promised."""
    sets: Callable[[Lattice], list[NDArray[np.bool_]]]
    """The same content as yes-or-no symbols, for the range coder; the drawn token apart."""
    settle: Callable[[int], None] = lambda accepted: None


@dataclass
class Figures:
    """Measurements of one codec; times in ms per draft, medians over messages."""

    name: str
    quantise: float = 0.0
    encode: float = 0.0
    decode: float = 0.0
    slowest: float = 0.0
    """Encoding and decoding, of the slowest message."""
    both: float = 0.0
    """Encoding and decoding."""
    limit: float | None = None
    kept: float = 0.0
    """Tokens in the support, median."""
    bits: float = 0.0
    formula: float = 0.0
    least: float = 0.0
    above: float = 0.0
    """Bits of a message, the worst."""
    copies: float = 0.0
    range_bits_above: float = 0.0
    range_ms: float = 0.0

    @property
    def met(self) -> bool:
        """True if the codec is fast enough."""
        return self.limit is None or self.both <= self.limit


def rows(v: int) -> list[Row]:
    """Return the table; another codec is another row."""
    sparse = SparseLattice(240, v)
    return [
        sqs("K-SQS K=64 ℓ=100", 1, Sqs(100, v, partial(top_k, k=64), size=64), k_bits=0.0),
        c_sqs("C-SQS α=0.0005 ℓ=100", v, alpha=5e-4),
        c_sqs("C-SQS α=0.05 ℓ=100", v, alpha=0.05),
        Row(
            "QS ℓ=240, support",
            sparse,
            lambda q: sparse.bits(q.support.size),
            5,
            lambda q: [membership(q, v), marks(q.counts - 1)],
        ),
        Row(
            "QS ℓ=240, simplex",
            Simplex(240, v),
            lambda q: log2_binomial(240 + v - 1, 240) + math.log2(v),
            5,
            lambda q: [marks(q.counts)],
        ),
        truncated("TSLT K=320, plain", v, 1, "plain"),
        truncated("TSLT K=320, ranked", v, None, "ranked"),
    ]


def sqs(
    name: str,
    limit: float,
    codec: Sqs,
    k_bits: float,
    settle: Callable[[int], None] = lambda accepted: None,
) -> Row:
    """K-SQS or C-SQS; `k_bits` are the bits that K takes."""
    v = codec.vocabulary_size
    return Row(
        name,
        codec,
        lambda q: k_bits + k_sqs_bits(v, q.support.size, codec.total) + math.log2(q.support.size),
        limit,
        lambda q: [membership(q, v), marks(q.counts)],
        settle,
    )


def c_sqs(name: str, v: int, alpha: float) -> Row:
    """C-SQS, with all drafts accepted."""
    threshold = OnlineThreshold(alpha, eta=1e-3, first=1e-3)
    codec = Sqs(100, v, threshold.support)
    return sqs(name, 5, codec, k_bits=math.log2(v), settle=threshold.settle)


def truncated(name: str, v: int, limit: float | None, index: WireForm) -> Row:
    """TSLT; its values of 16 bits are left as they are."""
    return Row(
        name,
        Truncated(v, top_k=320, index=index),
        lambda q: (
            math.log2(320)
            + log2_binomial(v, q.support.size)
            + 16 * q.support.size
            + math.log2(q.support.size)
        ),
        limit,
        lambda q: [membership(q, v), *[np.array([True, False])] * (8 * q.support.size)],
    )


def membership(q: Lattice, v: int) -> NDArray[np.bool_]:
    """Return the ids of the support."""
    mask = np.zeros(v, np.bool_)
    mask[q.support] = True
    return mask


def marks(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return counts as a row of stars (yes) and bars (no)."""
    row = np.ones(int(counts.sum()) + counts.size, np.bool_)
    row[np.cumsum(counts + 1) - 1] = False
    return row[:-1]


def smollm2() -> list[Probabilities]:
    """Its distributions at `POSITIONS` positions behind the quickstart's prompts."""
    model = load_model(msgspec.structs.replace(resolve(DEFAULT_MODEL), threads=1), "draft")
    prompts = yaml.safe_load(PROMPTS.read_text())["prompts"]
    found: list[Probabilities] = []
    for number, prompt in enumerate(prompts):
        text, reader = model.encode(prompt), CachedReader(model.session())
        random = KeyedRandomness(1, 0, f"bench/{number}")
        for _ in range(-(-POSITIONS // len(prompts))):
            q = distribution(reader.logits(text)[-1], Sampling())
            found.append(q)
            text.append(random.choose(q, "draft", len(text)))
    return found[:POSITIONS]


def best(run: Callable[[], object], tries: int = TRIES) -> float:
    """Milliseconds of the fastest of some tries."""
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


@dataclass(frozen=True)
class Message:
    """Measurements of one message: times in ms per draft, bits for the whole message."""

    quantise: list[float]
    encode: float
    decode: float
    kept: list[int]
    bits: int
    formula: float
    least: float
    range_bits: int
    range_ms: float


def measure(row: Row, qs: Sequence[Probabilities], copy_ms: float) -> Figures:
    """One row of the table."""
    found = [message(row, qs[first : first + DRAFTS], first) for first in range(0, len(qs), DRAFTS)]
    both = [each.encode + each.decode for each in found]
    drafts = len(qs)
    return Figures(
        name=row.name,
        quantise=statistics.median(ms for each in found for ms in each.quantise),
        encode=statistics.median(each.encode for each in found),
        decode=statistics.median(each.decode for each in found),
        both=statistics.median(both),
        slowest=max(both),
        limit=row.limit_ms,
        kept=statistics.median(size for each in found for size in each.kept),
        bits=sum(each.bits for each in found) / drafts,
        formula=sum(each.formula for each in found) / drafts,
        least=sum(each.least for each in found) / drafts,
        above=max(each.bits - each.least for each in found),
        copies=statistics.median(both) / copy_ms,
        range_bits_above=max(each.range_bits - each.least for each in found),
        range_ms=statistics.median(each.range_ms for each in found),
    )


def message(row: Row, qs: Sequence[Probabilities], position: int) -> Message:
    """Draft, send and measure one message. Raises RuntimeError when it is not what arrives."""
    random = KeyedRandomness(1, 0, row.name)
    quantise: list[float] = []
    drafts: list[Drawn] = []
    for index, q in enumerate(qs, position):
        quantise.append(best(partial(quantised, row, q, 0)))
        lattice = quantised(row, q, 1)
        drafts.append(Drawn(lattice.draw(random, "draft", index), lattice))
    payload = row.codec.encode(drafts)
    for sent, got in zip(drafts, row.codec.decode(payload.data, len(drafts)), strict=True):
        same = np.array_equal(sent.q.probabilities, got.q.probabilities)
        if not same or sent.token != got.token:
            raise RuntimeError(f"{row.name}: what arrives is not what was sent")
    range_bits, range_ms = range_coded(drafts, row)
    return Message(
        quantise=quantise,
        encode=best(lambda: row.codec.encode(drafts)) / len(drafts),
        decode=best(lambda: row.codec.decode(payload.data, len(drafts))) / len(drafts),
        kept=[draft.q.support.size for draft in drafts],
        bits=payload.bits,
        formula=sum(row.codec.formula_bits(draft.q) for draft in drafts),
        least=sum(row.least(draft.q) for draft in drafts),
        range_bits=range_bits,
        range_ms=range_ms / len(drafts),
    )


def quantised(row: Row, q: Probabilities, accepted: int) -> Lattice:
    """q̂; a threshold has moved if it was `accepted`, and not where it is to be done again."""
    lattice = row.codec.quantise(q)
    row.settle(accepted)
    return lattice


def range_coded(drafts: Sequence[Drawn], row: Row) -> tuple[int, float]:
    """Bits of a message by constriction's range coder, and ms to encode and decode it.

    Both ends know how many of the symbols are yes, as with ranks. The chance of a yes could be
    made exact after every symbol, but then a decoder would have to ask for one at a time.
    """
    jobs: list[tuple[NDArray[np.int32], object]] = []
    for draft in drafts:
        size = draft.q.support.size
        uniform = stream.model.Uniform(max(size, 2))
        jobs.append((np.array([draft.q.place(draft.token)], np.int32), uniform))
        raw = 0
        for row_of_marks in row.sets(draft.q):
            share = float(row_of_marks.mean()) if row_of_marks.size else 0.0
            if row_of_marks.size == 2:
                raw += 1  # two bits of a value that is sent as it is
            elif 0 < share < 1:
                model = stream.model.Bernoulli(share, perfect=False)
                jobs.append((row_of_marks.astype(np.int32), model))
        jobs.append((np.zeros(2 * raw, np.int32), stream.model.Uniform(2)))

    def encode() -> NDArray[np.uint32]:
        encoder = stream.queue.RangeEncoder()
        for symbols, model in jobs:
            encoder.encode(symbols, model)
        return encoder.get_compressed()

    words = encode()

    def decode() -> None:
        decoder = stream.queue.RangeDecoder(words)
        for symbols, model in jobs:
            if not np.array_equal(decoder.decode(model, symbols.size), symbols):
                raise RuntimeError("the range coder lost something")

    return 32 * words.size, best(encode) + best(decode)


def dense_copy(q: Probabilities) -> None:
    """Print what sending V fp16 numbers as they are costs."""
    data = q.astype(np.float16).tobytes()
    np.frombuffer(data, np.float16).astype(np.float64)


def table(all_figures: Sequence[Figures]) -> Table:
    """One line per codec."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in (
        "codec", "K", "quantise", "encode", "decode", "both", "limit", "slowest", "copy",
        "bits", "formula", "least", "above", "range coder: above", "both",
    ):  # fmt: skip
        shown.add_column(header, justify="left" if header == "codec" else "right")
    for f in all_figures:
        colour = "green" if f.met else "red"
        shown.add_row(
            f.name,
            f"{f.kept:.0f}",
            *(f"{ms:.2f}" for ms in (f.quantise, f.encode, f.decode)),
            f"[{colour}]{f.both:.2f}{'' if f.met else ' ✗'}[/]",
            "–" if f.limit is None else f"{f.limit:g}",
            f"{f.slowest:.2f}",
            f"{f.copies:.1f}",
            *(f"{bits:.1f}" for bits in (f.bits, f.formula, f.least, f.above)),
            f"{f.range_bits_above:.1f}",
            f"{f.range_ms:.2f}",
        )
    return shown


def main() -> None:
    """Measure every codec, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    args = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    try:
        qs = smollm2()
    except TestbedError as error:
        sys.exit(str(error))
    copy_ms = statistics.median(best(partial(dense_copy, q)) for q in qs)
    print(
        f"{len(qs)} distributions of {DEFAULT_MODEL}, V = {qs[0].size}, in messages of {DRAFTS} "
        f"drafts; core {core}.\nTimes in ms per draft, bits per draft (`above`: per message); a "
        f"dense fp16 copy takes {copy_ms:.3f} ms."
    )
    found = [measure(row, qs, copy_ms) for row in rows(qs[0].size)]
    Console(width=200).print(table(found))
    if args.json:
        args.json.write_text(json.dumps([asdict(each) for each in found], indent=2))
    missed = [each.name for each in found if not each.met]
    print(f"{len(missed)} slower than the limit" + "".join(f"\n  {name}" for name in missed))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
