#!/usr/bin/env python3
"""Measures the engine against its limits.

    python scripts/bench/engine.py [--only assisted,target,...]

On an otherwise idle machine. Each benchmark prints what it measured, the limit, and the ratio of
the two; exits with 1 when a limit is not met. The first four take the default pair.

assisted    speculative decoding (dssd) in one process against transformers' assisted generation:
            the same models, prompts and number of drafts, no token filtered, in tokens/s. They
            have both as their own library loads them, the draft's matrices in our 8 bits
target      at temperature 0 against the target alone, at several draft lengths; and against what
            follows from the tokens a round yielded and what passes cost. By gumbel: all methods
            accept the same drafts there, and it computes least beside the models
processes   dssd between two processes over the loopback against the same in one, a thread each
start       from `testbed run` to the first token: of the default pair, and of a synthetic one
memory      of a device process at its peak, with the default draft and a synthetic one
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import yaml
from limits import BenchResult, command

from testbed.counts import DraftCounts
from testbed.decoding.sampling import Sampling
from testbed.events import Tracer, read_events
from testbed.experiment.node_process import NodeProcess, checked
from testbed.models.base import ModelSession
from testbed.models.cpu.operators import with_operators
from testbed.models.hf.tokenizer import Tokenizer
from testbed.models.load import load_model
from testbed.models.spec import Dtype, HuggingFaceSpec, ModelSpec, SyntheticSpec
from testbed.models.store.catalog import DEFAULT_DRAFT, resolve
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.prompts.file import File
from testbed.protocol.control import Begin, Decode, Progress, Ready, Result
from testbed.protocol.device_loop import Decoded
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel

KINDS = ("chat", "code", "reasoning")  # of prompts, all under 200 tokens
EACH = 2  # of every kind
TOKENS = 64  # of each text
DRAFTS = 3  # γ, but where the best is looked for
LENGTHS = (1, 2, 3, 4)
CONFIDENT = {"policy": "confidence", "threshold": 0.5}
ASSISTED, ALONE, PREDICTED, APART_FROM_ONE = 1.2, 1.3, 0.95, 0.95
TURNS = range(3)  # how often a text is decoded where the fastest time, or the median, counts
BEHIND, COSTS = 128, 10  # tokens that timed passes stand behind, and how many of each a text
SYNTHETIC = SyntheticSpec(50272, 0.8)
START = {"default pair": 10.0, "synthetic pair": 3.0}  # s
MEMORY = {"default draft": 700.0, "synthetic draft": 80.0}  # MB


@dataclass
class Speed:
    """Texts decoded so far."""

    tokens: int = 0
    seconds: float = 0.0
    rounds: int = 0
    drafted: int = 0

    def add(self, decoded: Decoded) -> None:
        """One text more."""
        self.tokens += len(decoded.tokens)
        self.seconds += decoded.times[-1]
        self.rounds += decoded.counts.rounds
        self.drafted += decoded.counts.drafted

    def __float__(self) -> float:
        return self.tokens / self.seconds


def prompts() -> list[list[int]]:
    """Token ids of the first prompts of the short kinds, as turns of a chat.

    Reading a long one takes both sides the same seconds, in which nothing is decoded.
    """
    folder = Path(__file__).parents[1] / "prompts"
    texts = [File(file=f"{kind}.jsonl").texts(folder, 0)[:EACH] for kind in KINDS]
    reader = Tokenizer(Path(resolve(DEFAULT_MODEL).path), DEFAULT_MODEL)
    return [reader.encode_chat(text) for text in itertools.chain(*texts)]


def default_pair(dtype: Dtype, threads: int) -> tuple[HuggingFaceSpec, HuggingFaceSpec]:
    """Target, in this type, and draft, in its own, with what they multiply by here."""
    target = msgspec.structs.replace(resolve(DEFAULT_MODEL), dtype=dtype, threads=threads)
    draft = msgspec.structs.replace(resolve(DEFAULT_DRAFT), threads=threads)
    return with_operators(target), with_operators(draft)


def task(method: str, temperature: float, **options: Any) -> DecodeRequest:
    """Return a text of TOKENS tokens."""
    return DecodeRequest(
        method=method,
        options=options,
        sampling=Sampling(temperature),
        seed=1,
        repetition=0,
        stream="device/0",
        max_new_tokens=TOKENS,
        end_tokens=(),
    )


class Pair:
    """The default pair in this process, on all processors."""

    def __init__(self, dtype: Dtype, threads: int = 2) -> None:
        target, draft = default_pair(dtype, threads)
        self.target, self.draft = load_model(target, "target"), load_model(draft, "draft")
        self._server = VerifierServer(self.target)
        for model in (self.target, self.draft):
            model.warm_up([0] * 32, DRAFTS + 1)

    def decode(self, task: DecodeRequest, prompt: list[int]) -> Decoded:
        """One text."""
        channel = InProcessChannel(self._server)
        return generate(task, prompt, self.draft, channel, timeout=60, trace=Tracer("device"))


class Assisted:
    """transformers' assisted generation, the target in fp32."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM  # noqa: PLC0415  loads torch

        from testbed.models.cpu.int8 import to_int8  # noqa: PLC0415
        from testbed.models.cpu.linear_layers import replace_linears  # noqa: PLC0415
        from testbed.models.hf.draft_head import trim_head  # noqa: PLC0415

        self._target, self._draft = (
            AutoModelForCausalLM.from_pretrained(resolve(name).path, dtype="float32")
            for name in (DEFAULT_MODEL, DEFAULT_DRAFT)
        )
        trim_head(self._draft, DEFAULT_DRAFT)
        replace_linears(self._draft, to_int8)
        self._draft.get_output_embeddings().register_forward_hook(self._padded)
        for network in (self._target, self._draft):
            network.generation_config.eos_token_id = None
            network.generation_config.pad_token_id = 0
        # As many drafts in every round, as here.
        self._draft.generation_config.num_assistant_tokens = DRAFTS
        self._draft.generation_config.num_assistant_tokens_schedule = "constant"
        self._draft.generation_config.assistant_confidence_threshold = 0.0

    def _padded(self, _head: object, _states: object, logits: Any) -> Any:
        """Logits of all tokens, from a head that may be shorter."""
        from torch.nn.functional import pad  # noqa: PLC0415

        lacking = self._target.config.vocab_size - logits.shape[-1]
        return pad(logits, (0, lacking), value=float("-inf"))

    def decode(self, prompt: list[int], temperature: float) -> tuple[list[int], float]:
        """One text: the new tokens, and seconds."""
        import torch  # noqa: PLC0415

        ids = torch.tensor([prompt])
        torch.manual_seed(1)
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None}
        if temperature:
            sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0}
        began = time.monotonic()
        text = self._target.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            assistant_model=self._draft,
            max_new_tokens=TOKENS,
            top_k=0 if temperature else None,
            repetition_penalty=1.0,
            **sampling,
        )
        return text[0, len(prompt) :].tolist(), time.monotonic() - began


def bench_assisted() -> Iterator[BenchResult]:
    """Text by text, one after the other."""
    pair = Pair("fp32")
    assisted = Assisted()
    assisted.decode([0] * 32, 1.0)  # what first calls cost
    for temperature in (0.0, 1.0):
        ours, theirs, same = Speed(), Speed(), 0
        asked = prompts()
        for prompt in asked:
            decoded = pair.decode(task("dssd", temperature, draft_length=DRAFTS), prompt)
            tokens, seconds = assisted.decode(prompt, temperature)
            ours.add(decoded)
            theirs.tokens, theirs.seconds = theirs.tokens + len(tokens), theirs.seconds + seconds
            same += decoded.tokens == tokens
        yield BenchResult(
            f"assisted generation, temperature {temperature:g}: our tokens/s over theirs",
            float(ours) / float(theirs),
            ASSISTED,
            "",
            f"{float(ours):.1f} and {float(theirs):.1f} tokens/s"
            + ("" if temperature else f"; {same} of {len(asked)} texts are the same"),
            at_least=True,
        )


def bench_target() -> Iterator[BenchResult]:
    """All lengths and the target alone, text by text; of each text the fastest time counts."""
    dtypes: tuple[Dtype, ...] = ("bf16", "fp32")
    for dtype in dtypes:
        pair = Pair(dtype)
        drafting = {str(n): task("gumbel", 0.0, draft_length=n) for n in LENGTHS}
        tasks = {
            "alone": task("cloud_ar", 0.0),
            **drafting,
            "confident": task("gumbel", 0.0, draft_length=CONFIDENT),
        }
        speeds = {name: Speed() for name in tasks}
        for prompt in prompts():
            texts = [{n: pair.decode(each, prompt) for n, each in tasks.items()} for _ in TURNS]
            for name, speed in speeds.items():
                speed.add(min((text[name] for text in texts), key=lambda text: text.times[-1]))
        best = max(drafting, key=lambda length: float(speeds[length]))
        alone, confident = float(speeds["alone"]), speeds["confident"]
        yield BenchResult(
            f"target alone, {dtype}: tokens/s with the draft over those without",
            float(speeds[best]) / alone,
            ALONE if dtype == "bf16" else None,
            "",
            f"γ = {best}; {alone:.1f} alone, by γ "
            + " ".join(f"{float(speeds[length]):.1f}" for length in drafting),
            at_least=True,
        )
        yield BenchResult(
            f"target alone, {dtype}: the same, drafting while the draft is confident",
            float(confident) / alone,
            None,
            "",
            f"threshold {CONFIDENT['threshold']}; {confident.tokens / confident.rounds:.2f} tokens "
            f"and {confident.drafted / confident.rounds:.2f} drafts a round",
            at_least=True,
        )
        yield predicted(pair, dtype, drafting[best], int(best))


def predicted(pair: Pair, dtype: Dtype, drafting: DecodeRequest, length: int) -> BenchResult:
    """Compare rounds with the sum of their passes, timed in turns with them."""
    tokens, rounds, ratios, passes = 0, 0, [], []
    for prompt in prompts():
        for _ in TURNS:
            decoded, cost = pair.decode(drafting, prompt), costs(pair, length)
            counts, seconds = decoded.counts, decoded.times[-1] - decoded.times[0]
            # The first round holds the prompt's reading.
            ratios.append(cost.of(counts) / counts.rounds * (counts.rounds - 1) / seconds)
            tokens, rounds = tokens + len(decoded.tokens), rounds + counts.rounds
            passes.append(cost)
    draft, verification, single = (
        statistics.median(getattr(cost, name) for cost in passes) * 1e3
        for name in ("draft", "verification", "single")
    )
    return BenchResult(
        f"target alone, {dtype}: speed of rounds behind the first over the predicted one",
        statistics.median(ratios),
        PREDICTED,
        "",
        f"median; {tokens / rounds:.2f} tokens a round, a draft {draft:.1f} ms, "
        f"a verification {verification:.1f}, a token of the target {single:.1f}",
        at_least=True,
    )


@dataclass
class Costs:
    """Seconds that passes take; means."""

    draft: float
    catching_up: float
    """Of the draft over two tokens: when all drafts were accepted, it has not read the last."""
    verification: float
    single: float
    """Of the target over one token."""

    def of(self, counts: DraftCounts) -> float:
        """Return the seconds of all passes of a generation's rounds."""
        full = counts.rounds - counts.rejections
        drafts = counts.drafted * self.draft + full * (self.catching_up - self.draft)
        return drafts + counts.rounds * self.verification


def costs(pair: Pair, drafts: int) -> Costs:
    """Time passes in the order of a round: each model pushes the other's weights out of caches."""
    draft, target = pair.draft.session(), pair.target.session()
    for session in (draft, target):
        session.extend([1] * BEHIND, keep=1)
    seconds: dict[str, list[float]] = {field.name: [] for field in fields(Costs)}

    def measure(name: str, session: ModelSession, tokens: int, passes: int = 1) -> None:
        seconds[name].append(sum(timed(session, tokens) for _ in range(passes)) / passes)
        session.rollback(BEHIND)

    for _ in range(COSTS):
        measure("draft", draft, 1, drafts)
        measure("verification", target, drafts + 1)
        measure("catching_up", draft, 2)
        measure("single", target, 1)
    return Costs(**{name: statistics.fmean(each) for name, each in seconds.items()})


def timed(session: ModelSession, tokens: int) -> float:
    """Seconds of a pass over so many."""
    began = time.perf_counter()
    session.extend([1] * tokens)
    return time.perf_counter() - began


class Nodes:
    """A verifier and a device as processes of their own, over the loopback; a context manager."""

    def __init__(self, target: ModelSpec, draft: ModelSpec) -> None:
        self._models = {"target": target, "draft": draft}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Nodes:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        verifier = self._start(folder, "base_station", "target", f"--listen={address}")
        self._device = self._start(folder, "device", "draft", f"--connect={address}")
        for node in (verifier, self._device):
            checked(node, node.receive(60), Ready)
        self._device.send(Begin(str(folder / "device.jsonl"), connect=True))
        checked(self._device, self._device.receive(60), Ready)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def decode(self, task: DecodeRequest, prompt: list[int]) -> Result:
        """One text."""
        self._device.send(Decode(task, prompt))
        while isinstance(report := self._device.receive(60), Progress):
            pass
        return checked(self._device, report, Result)

    def device_peak(self) -> float:
        """Most megabytes of memory that the device has had so far."""
        for line in Path(f"/proc/{self._device.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("the kernel does not tell the memory of a process")

    def _start(self, folder: Path, name: str, role: str, where: str) -> NodeProcess:
        model = f"--model={msgspec.json.encode(self._models[role]).decode()}"
        log = folder / f"{name}.log"
        node = NodeProcess(name, f"nodes.{name}", [model, where], log, subprocess.Popen)
        self._stack.callback(node.stop)
        return node


def bench_processes() -> Iterator[BenchResult]:
    """Text by text, here and there; p̂ goes down in fp32."""
    pair = Pair("fp32", threads=1)
    with Nodes(*default_pair("fp32", threads=1)) as nodes:
        together, apart = Speed(), Speed()
        wanted = task("dssd", 1.0, draft_length=DRAFTS)
        for number, prompt in enumerate(prompts()):
            if not number:
                nodes.decode(wanted, prompt)  # the first message of a connection waits for it
            here, there = pair.decode(wanted, prompt), nodes.decode(wanted, prompt)
            if here.tokens != there.tokens:
                raise RuntimeError("two processes decoded another text than one")
            together.add(here)
            apart.tokens += len(there.tokens)
            apart.seconds += there.times[-1]
    yield BenchResult(
        "dssd in two processes: tokens/s over those in one",
        float(apart) / float(together),
        APART_FROM_ONE,
        "",
        f"{float(apart):.1f} and {float(together):.1f} tokens/s, the same texts",
        at_least=True,
    )


def bench_start() -> Iterator[BenchResult]:
    """Time runs as a user starts them: the second of two, as the first reads from the disk."""
    models: dict[str, dict[str, Any]] = {
        "default pair": {"target": DEFAULT_MODEL, "draft": DEFAULT_DRAFT},
        "synthetic pair": {"synthetic": {"vocabulary_size": 1000, "acceptance": 0.8}},
    }
    for name, limit in START.items():
        seconds = [first_token(models[name]) for _ in range(2)]
        yield BenchResult(f"first token of the {name} after", seconds[1], limit, "s")


def first_token(models: dict[str, Any]) -> float:
    """Seconds from the command to the device's first token."""
    scenario = {
        "name": "bench_start",
        "topology": "edge",
        "verifier": "base_station",
        "links": {
            "radio": {
                direction: {"rate": "15mbit", "delay": "43ms"} for direction in ("up", "down")
            }
        },
        "models": models,
        "decoding": {"temperature": 1.0, "max_new_tokens": 8, "ignore_eos": True},
        "methods": ["dssd"],
        "prompts": ["any text"],
        "backend": "relay",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scenario.yaml")
        path.write_text(yaml.safe_dump(scenario))
        began = time.monotonic_ns()
        run = [sys.executable, "-m", "testbed", "run", str(path), "--out", folder]
        subprocess.run(run, stdout=subprocess.DEVNULL, check=False)
        (events,) = Path(folder).glob("*/runs/*/device.jsonl")
        commits = [event["t"] for event in read_events(events) if event["event"] == "commit"]
        return float(commits[0] - began) * 1e-9


def bench_memory() -> Iterator[BenchResult]:
    """One text with dssd."""
    target, draft = default_pair("fp32", threads=1)
    pairs: dict[str, tuple[ModelSpec, ModelSpec]] = {
        "default draft": (target, draft),
        "synthetic draft": (SYNTHETIC, SYNTHETIC),
    }
    for name, limit in MEMORY.items():
        with Nodes(*pairs[name]) as nodes:
            nodes.decode(task("dssd", 1.0, draft_length=DRAFTS), [1] * 32)
            yield BenchResult(
                f"device process with the {name}, peak", nodes.device_peak(), limit, "MB"
            )


BENCHES: dict[str, Callable[[], Iterator[BenchResult]]] = {
    "assisted": bench_assisted,
    "target": bench_target,
    "processes": bench_processes,
    "start": bench_start,
    "memory": bench_memory,
}


if __name__ == "__main__":
    command(__doc__, BENCHES)
