#!/usr/bin/env python3
"""Measures GGUF models, as llama.cpp runs them here, against llama.cpp itself and other engines.

    python scripts/bench/llamacpp.py [--only passes,speculative,types,large]

On an otherwise idle machine with two processors or more, 6 GB of free disk and 8 GB of memory. The
default pair is exported to GGUF files first. Exits with 1 when a limit is not met.

passes       a pass and the draw of a token by our session, over llama.cpp's own decoding alone, by
             two threads, in turns
speculative  gumbel in one process at its best draft length, over the speculative decoding of
             llama.cpp's server with the same files and draft length, in tokens/s
types        ms of a pass over 1 and 5 tokens, and the difference of blocks (TV), of every type of
             the default target here
large        a file of the shape of a 7B model in 4 bits, of random weights: memory over its size
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from limits import BenchResult, command

from testbed.decoding.randomness import KeyedRandomness
from testbed.decoding.sampling import Sampling, distribution
from testbed.events import Tracer
from testbed.host.environment import processor
from testbed.models.base import Model
from testbed.models.block_difference import block_difference
from testbed.models.hf.backends import TransformersBackend
from testbed.models.hf.model import load_network
from testbed.models.llamacpp.model import LlamaCppModel, LlamaCppSession
from testbed.models.load import load_model
from testbed.models.spec import Dtype
from testbed.models.store.catalog import DEFAULT_DRAFT, resolve, with_options
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.models.store.gguf_export import export_gguf
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel

THREADS = 2
BEHIND, TIMES = 128, 40  # tokens that passes stand behind, and passes of each length
TOKENS, DRAFTS, TURNS = 64, (1, 2, 3, 4), 3
PASS, SERVER, MEMORY = 1.10, 1.0, 1.15
PROMPT = "Explain in a few sentences why the sky is blue and the sunset is red."
LAYERS, WIDTH, INNER, VOCABULARY = 32, 4096, 11008, 32000
CONTEXT = 512


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for files, which is removed in the end."""
    return tempfile.TemporaryDirectory(prefix="bench-llamacpp-")


@cache
def exported(name: str, kind: str) -> Path:
    """Return a GGUF file of a model of the default pair."""
    file = Path(folder().name, f"{name}-{kind}.gguf")
    export_gguf(resolve(name), file, kind)  # type: ignore[arg-type]
    return file


def loaded(file: Path) -> LlamaCppModel:
    """Load a file, with the threads of all benchmarks."""
    return LlamaCppModel(file, file.stem, threads=THREADS)


def bench_passes() -> Iterator[BenchResult]:
    """Time ours, and llama_decode in the same context, one after the other."""
    model = loaded(exported(DEFAULT_MODEL, "q4_0"))
    session = model.session()
    session.extend([1] * BEHIND, keep=1)
    random = KeyedRandomness(1, 0, "bench")
    sampling = Sampling(temperature=1.0)

    def ours(tokens: int) -> None:
        for row in session.extend([7] * tokens):
            random.choose(distribution(row, sampling), "target", BEHIND)

    def theirs(tokens: int) -> None:
        cache: Any = session._cache
        batch = cache._batch
        batch.n_tokens = tokens
        cache._lib.llama_decode(cache._context, batch)
        cache._lib.llama_get_logits(cache._context)

    for tokens in (1, 5):
        took: dict[Callable[[int], None], list[float]] = {ours: [], theirs: []}
        for _ in range(TIMES + 3):
            for each, seconds in took.items():
                # The batch that the session filled stays as it was for llama.cpp's own turn.
                began = time.perf_counter()
                each(tokens)
                seconds.append(time.perf_counter() - began)
                session.rollback(BEHIND) if each is ours else forget(session)
        mine, other = (statistics.median(each[3:]) for each in took.values())
        yield BenchResult(
            f"pass over {tokens}, sampled, over llama.cpp's own",
            mine / other,
            PASS,
            "",
            f"{mine * 1e3:.2f} and {other * 1e3:.2f} ms, q4_0, {THREADS} threads, {processor()}",
        )


def forget(session: LlamaCppSession) -> None:
    """Take back what llama.cpp read by itself."""
    cache: Any = session._cache
    memory = cache._lib.llama_get_memory(cache._context)
    cache._lib.llama_memory_seq_rm(memory, 0, BEHIND, -1)


def bench_speculative() -> Iterator[BenchResult]:
    """Decode the same prompt here and in llama.cpp's server, in a process of its own."""
    target, draft = exported(DEFAULT_MODEL, "q8_0"), exported(DEFAULT_DRAFT, "q4_0")
    for temperature in (0.0, 1.0):
        ours = {length: gumbel(target, draft, length, temperature) for length in DRAFTS}
        best = max(ours, key=lambda length: ours[length])
        theirs = served(target, draft, best, temperature)
        yield BenchResult(
            f"gumbel, temperature {temperature:g}: tokens/s over llama.cpp's server",
            ours[best] / theirs,
            SERVER,
            "",
            f"{ours[best]:.1f} and {theirs:.1f} tokens/s at γ = {best}",
            at_least=True,
        )


def gumbel(target: Path, draft: Path, length: int, temperature: float) -> float:
    """Return the tokens/s of our decoding."""
    big, small = _pair(target, draft)
    prompt = big.encode(PROMPT)
    request = DecodeRequest(
        method="gumbel",
        options={"draft_length": length},
        sampling=Sampling(temperature=temperature),
        seed=1,
        repetition=0,
        stream="bench",
        max_new_tokens=TOKENS,
        end_tokens=(),
    )
    speeds = []
    for _ in range(TURNS):
        channel = InProcessChannel(VerifierServer(big))
        decoded = generate(request, prompt, small, channel, timeout=60, trace=Tracer("device"))
        # As the server counts: without the prompt's pass.
        speeds.append((TOKENS - 1) / (decoded.times[-1] - decoded.times[0]))
    return statistics.median(speeds)


@cache
def _pair(target: Path, draft: Path) -> tuple[Model, Model]:
    return loaded(target), loaded(draft)


_SERVER = """
import json, sys
import xllamacpp as x
target, draft, length, temperature, tokens, threads, turns, prompt = sys.argv[1:]
params = x.CommonParams()
params.model.path = target
params.n_ctx, params.n_parallel = 1024, 1
own = params.speculative.draft
own.mparams.path, own.n_max, own.n_min, own.p_min = draft, int(length), 0, 0.0
params.speculative.types = [x.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
for cpu in (params.cpuparams, params.cpuparams_batch, own.cpuparams, own.cpuparams_batch):
    cpu.n_threads = int(threads)
server = x.Server(params)
for _ in range(int(turns)):
    answer = server.handle_completions({
        "prompt": json.loads(prompt), "n_predict": int(tokens), "temperature": float(temperature),
        "samplers": ["temperature"], "ignore_eos": True, "cache_prompt": False, "seed": 1,
    })
    answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
    print("speed", answer["timings"]["predicted_per_second"])
"""


def served(target: Path, draft: Path, length: int, temperature: float) -> float:
    """Return the tokens/s of llama.cpp's own speculative decoding, as its server counts them."""
    prompt = _pair(target, draft)[0].encode(PROMPT)
    arguments = [
        str(target), str(draft), str(length), str(temperature), str(TOKENS), str(THREADS),
        str(TURNS), msgspec.json.encode(prompt).decode(),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _SERVER, *arguments], capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("speed ")]
    return statistics.median(float(line.split()[1]) for line in lines)


def bench_types() -> Iterator[BenchResult]:
    """Time passes of the default target in each type."""
    models: dict[str, Callable[[], Model]] = {}
    for dtype in ("fp32", "bf16", "int8"):
        models[f"{dtype}, ours"] = partial(of_transformers, dtype)
        if dtype != "int8":
            models[f"{dtype}, transformers alone"] = partial(of_transformers, dtype, alone=True)
    for kind in ("f32", "f16", "q8_0", "q4_0"):
        models[f"{kind}, llama.cpp"] = partial(of_llamacpp, kind)
    for name, make in models.items():
        model = make()
        difference = block_difference(model)
        one, five = (pass_time(model, tokens) * 1e3 for tokens in (1, 5))
        note = f"ms; {five:.1f} ms over 5; TV of blocks {difference:.1g}"
        yield BenchResult(f"pass over 1 token, {name}", one, None, note)
        del model


def of_transformers(dtype: Dtype, *, alone: bool = False) -> Model:
    """Load the default target by our engine, or by the layers of transformers alone."""
    spec = with_options(resolve(DEFAULT_MODEL), dtype=dtype, threads=THREADS)
    model = load_model(spec, "target")
    if alone:
        network = load_network(Path(spec.path), spec.name, dtype, (), "cpu")
        model.network = TransformersBackend(network)  # type: ignore[attr-defined]
    return model


def of_llamacpp(kind: str) -> Model:
    """Load the default target from a file of this type."""
    return loaded(exported(DEFAULT_MODEL, kind))


def pass_time(model: Model, tokens: int) -> float:
    """Return the seconds of a pass."""
    session, seconds = model.session(), []
    session.extend([1] * BEHIND, keep=1)
    for _ in range(TIMES):
        began = time.perf_counter()
        session.extend([7] * tokens)
        seconds.append(time.perf_counter() - began)
        session.rollback(BEHIND)
    return statistics.median(seconds[3:])


_LARGE = """
import resource, sys, time
from pathlib import Path
from testbed.models.llamacpp.model import LlamaCppModel
began = time.monotonic()
model = LlamaCppModel(Path(sys.argv[1]), "large", threads=2)
print("loaded", time.monotonic() - began)
session = model.session()
text = [index % 1000 + 1 for index in range(int(sys.argv[2]) - 8)]
began = time.monotonic()
first = session.extend(text, keep=1)
print("read", time.monotonic() - began)
block = session.extend([5, 6, 7, 8])
session.rollback(len(text))
again = session.extend([5, 6, 7, 8])
assert (block == again).all(), "rollback"
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def bench_large() -> Iterator[BenchResult]:
    """Write the file, and run it in a process of its own, as a limit of memory would have it."""
    file = Path(folder().name, "large.gguf")
    write_large(file)
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, str(file), str(CONTEXT)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    size = file.stat().st_size
    note = (
        f"{size / 1e9:.2f} GB; loaded in {float(found['loaded']):.1f} s, {CONTEXT - 8} tokens read "
        f"in {float(found['read']):.0f} s, rolled back"
    )
    yield BenchResult(
        "7B in 4 bits: peak memory over its file", float(found["peak"]) / size, MEMORY, "", note
    )


def write_large(file: Path) -> None:
    """Write a Llama of 7B random weights in q4_0, with a byte vocabulary that is padded."""
    writer = GGUFWriter(file, "llama", use_temp_file=True)
    writer.add_type("model")
    writer.add_context_length(4096)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(32)
    writer.add_head_count_kv(32)
    writer.add_rope_dimension_count(WIDTH // 32)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [f"t{index}" for index in range(VOCABULARY - len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        block, stored = GGML_QUANT_SIZES[GGMLQuantizationType.Q4_0]
        blocks = rng.integers(0, 256, (rows * columns // block, stored), np.uint8)
        blocks[:, :2] = np.frombuffer(np.float16(0.002).tobytes(), np.uint8)  # the scale
        data = blocks.reshape(rows, columns // block * stored)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=GGMLQuantizationType.Q4_0)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))

    matrix("token_embd", VOCABULARY, WIDTH)
    matrix("output", VOCABULARY, WIDTH)
    norm("output_norm")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}", WIDTH, WIDTH)
        matrix(f"blk.{layer}.ffn_gate", INNER, WIDTH)
        matrix(f"blk.{layer}.ffn_up", INNER, WIDTH)
        matrix(f"blk.{layer}.ffn_down", WIDTH, INNER)
        norm(f"blk.{layer}.attn_norm")
        norm(f"blk.{layer}.ffn_norm")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    command(__doc__, {"passes": bench_passes, "speculative": bench_speculative,
                      "types": bench_types, "large": bench_large})  # fmt: skip
