"""Toy language models, and whole texts decoded through the real protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from testbed.decoding.sampling import Sampling, distribution
from testbed.events import Tracer
from testbed.methods import base
from testbed.methods.base import Method
from testbed.protocol.device_loop import generation
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_server import VerifierServer
from tests.support.together import decode_together

PLAIN = Sampling()
PROMPT = (0, 1)


class ToyModel:
    """Random logits that depend on the last two tokens."""

    context_length = 5000

    def __init__(self, vocabulary_size: int, seed: int) -> None:
        self.name = f"toy-{seed}"
        self.vocabulary_size = vocabulary_size
        self.vocabulary_id = f"toy-{vocabulary_size}"
        rng = np.random.default_rng(seed)
        v = vocabulary_size
        self.table = rng.normal(scale=1.5, size=(v + 1, v + 1, v)).astype(np.float32)

    def after(self, text: Sequence[int]) -> np.ndarray:
        padded = [self.vocabulary_size, self.vocabulary_size, *text]
        return self.table[padded[-2], padded[-1]]

    def session(self) -> ToySession:
        return ToySession(self)

    def encode(self, text: str) -> list[int]:
        return [ord(c) % self.vocabulary_size for c in text]

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens))


class ToySession:
    def __init__(self, model: ToyModel) -> None:
        self.model = model
        self.text: list[int] = []

    @property
    def length(self) -> int:
        return len(self.text)

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> np.ndarray:
        assert len(tokens) > 0
        self.text += tokens
        keep = len(tokens) if keep is None else keep
        ends = range(len(self.text) - keep + 1, len(self.text) + 1)
        return np.stack([self.model.after(self.text[:end]) for end in ends])

    def rollback(self, length: int) -> None:
        assert 0 <= length <= len(self.text)
        del self.text[length:]


def models(v: int) -> tuple[ToyModel, ToyModel]:
    """Draft and target that have nothing in common."""
    return ToyModel(v, 1), ToyModel(v, 2)


def similar_models(v: int, spread: float = 0.5) -> tuple[ToyModel, ToyModel]:
    """Draft and target that agree often, so that every kind of round comes up."""
    draft, target = models(v)
    draft.table = target.table + spread * draft.table
    return draft, target


def task(method: str, tokens: int, sampling: Sampling = PLAIN, **options) -> DecodeRequest:
    return DecodeRequest(
        method=method,
        options=options,
        sampling=sampling,
        seed=7,
        repetition=0,
        stream="device/0",
        max_new_tokens=tokens,
        end_tokens=(),
    )


def decode_locally(task, draft, target, *, channel=None, randomiser=None, prompt=PROMPT):
    """Decode one text with both halves in this process."""
    extra = {} if randomiser is None else {"randomiser": randomiser}
    server = VerifierServer(target, **extra)
    more = {"timeout": 5, "trace": Tracer("device"), **extra}
    if channel:
        return generate(task, prompt, draft, channel(server), **more)
    (decoded,) = decode_together(server, generation(task, prompt, draft, "verifier", **more))
    return decoded


def first_round(task, draft, target, randomiser, prompt=PROMPT) -> tuple[int, ...]:
    """Return the tokens that the first round of a method yields."""
    got: list[list[int]] = []

    class EnoughError(Exception):
        pass

    def progress(tokens: list[int]) -> None:
        got.append(tokens)
        raise EnoughError

    server = VerifierServer(target, randomiser)
    with contextlib.suppress(EnoughError):
        device = generation(
            task,
            prompt,
            draft,
            "verifier",
            timeout=5,
            trace=Tracer("device"),
            progress=progress,
            randomiser=randomiser,
        )
        decode_together(server, device)
    return tuple(got[0])


def target_law(target: ToyModel, sampling: Sampling, tokens: int, quantise=None, prompt=PROMPT):
    """Probability of every continuation of `tokens` tokens under the target (or its lattice)."""

    def p(text):
        law = distribution(target.after(text), sampling)
        return quantise(law).probabilities if quantise else law

    laws = {(): 1.0}
    for _ in range(tokens):
        laws = {
            (*text, token): mass * each
            for text, mass in laws.items()
            for token, each in enumerate(p([*prompt, *text]))
        }
    return laws


def with_method(method: type[Method]):
    """Make a method of a test known for a while, on both halves."""
    known = {**base.methods(), method.name: method}
    return patch.object(base, "methods", lambda: known)
