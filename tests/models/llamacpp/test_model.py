"""Sessions of tiny random networks in GGUF files: the arithmetic, and the shared cache."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.models.block_difference import block_difference
from testbed.models.llamacpp import cache
from testbed.models.llamacpp.model import LlamaCppModel, LlamaCppSession
from tests.models.llamacpp.conftest import Load, Tiny
from tests.models.session_contract import TEXT, Reference, SessionContract
from tests.models.tiny import CONTEXT
from tests.models.tiny_gguf import write

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILIES = "llama", "qwen2", "gemma3"
"""Rotated neighbours; rotated halves, and biases; sliding windows, with a cache of their own."""
TOLERANCE = 0.01
"""Keys and values are kept in fp16."""


@pytest.fixture(scope="module", params=FAMILIES)
def tiny(load: Load, request: pytest.FixtureRequest) -> Tiny:
    return load(request.param)


class TestSession(SessionContract):
    """The contract of sessions."""

    tolerance = TOLERANCE

    @pytest.fixture
    def model(self, tiny: Tiny) -> LlamaCppModel:
        return tiny.model

    @pytest.fixture
    def reference(self, tiny: Tiny) -> Reference:
        return tiny.reference


IDS = st.lists(st.integers(0, 299), min_size=1, max_size=9)
ROUNDS = st.lists(
    st.tuples(st.integers(0, 2), IDS, st.one_of(st.just(1.0), st.just(0.0), st.floats(0.5, 1))),
    min_size=1,
    max_size=9,
)
"""Which of three sessions reads a block, and how much of its text stays then."""


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=12)
@given(rounds=ROUNDS)
def test_logits_after_any_rounds_are_those_of_a_fresh_sequence(
    load: Load, family: str, rounds: list[tuple[int, list[int], float]]
) -> None:
    model = load(family).model
    sessions = [(model.session(), list[int]()) for _ in range(3)]
    for which, block, kept in rounds:
        session, text = sessions[which]
        text += block
        got = session.extend(block)
        fresh = model.session().extend(text, keep=len(block))
        assert np.abs(got - fresh).max() < TOLERANCE
        del text[round(kept * len(text)) :]
        session.rollback(len(text))
        assert session.length == len(text)


def test_properties(llama: Tiny) -> None:
    assert (llama.model.vocabulary_size, llama.model.context_length) == (300, CONTEXT)
    assert llama.model.vocabulary_id.startswith("300-")
    assert llama.model.end_tokens == {0, 2}


def test_long_passes_are_split(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass reads a few tokens at most, and fewer if their logits are kept."""
    text = [(7 * index) % 300 for index in range(60)]
    expected = tiny.reference(text)
    monkeypatch.setattr(cache, "_PASS", 16)
    monkeypatch.setattr(cache, "_KEPT", 8)
    monkeypatch.setattr(cache, "_SEQUENCES", 8)
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    for keep in (1, 7, 8, 9, 17, 59, 60):
        found = model.session().extend(text, keep=keep)
        assert np.abs(found - expected[-keep:]).max() < TOLERANCE


def test_a_cache_that_grows_keeps_all_sequences(tiny: Tiny) -> None:
    """With room for 1,024 tokens at first, twenty texts of a hundred need twice as much."""
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    texts = [[(each + 7 * index) % 300 for index in range(100)] for each in range(20)]
    sessions = [model.session() for _ in texts]
    for session, text in zip(sessions, texts, strict=True):
        session.extend(text[:90], keep=1)
    assert model._cache._room == 2048
    for session, text in zip(sessions, texts, strict=True):
        session.rollback(85)
        found = session.extend(text[85:])
        assert np.abs(found - tiny.reference(text)[85:]).max() < TOLERANCE


def test_keys_that_a_window_has_passed_stay(tiny: Tiny) -> None:
    """llama.cpp would write those of the second text over those of the first."""
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    text = [(7 * index) % 300 for index in range(60)]
    gone, first = model.session(), model.session()
    gone.extend([5] * 60, keep=1)
    first.extend(text, keep=1)
    gone.rollback(0)
    second = model.session()
    for _ in range(120):  # into the room of `gone`, and further
        second.extend([5])
    first.rollback(55)
    assert np.abs(first.extend(text[55:]) - tiny.reference(text)[55:]).max() < TOLERANCE


def test_sequences_of_collected_sessions_are_free_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_FIRST", 256)
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    expected = tiny.reference(TEXT)
    for _ in range(cache._SEQUENCES):
        session = model.session()
        session.extend([5] * CONTEXT, keep=1)
        session = model.session()
        assert np.abs(session.extend(TEXT) - expected).max() < TOLERANCE
    assert model._cache._room == 256


@pytest.mark.parametrize(("family", "most"), [("llama", 64), ("gemma3", 32)])
def test_sessions_beyond_what_llama_cpp_can_hold_are_refused(
    load: Load, family: str, most: int
) -> None:
    tiny = load(family)
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    sessions = [model.session() for _ in range(most)]
    with pytest.raises(
        TestbedError, match=rf"^model 'tiny' reads {most} sequences already, .*[^.]$"
    ):
        model.session()
    del sessions[3]
    session = model.session()
    assert np.abs(session.extend(TEXT) - tiny.reference(TEXT)).max() < TOLERANCE


def test_a_model_is_collected_together_with_its_sessions(llama: Tiny) -> None:
    """In a circle, the model's memory may be freed before its sessions are dropped."""
    model = LlamaCppModel(llama.file, "tiny", threads=1)
    session: Any = model.session()
    session.extend(TEXT)
    session.circle = session
    del model, session
    gc.collect()


def test_a_sequence_is_not_dropped_in_the_middle_of_another_call(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage is collected at any moment, here when sequences were copied to a larger cache."""
    model = LlamaCppModel(llama.file, "tiny", threads=1)
    sessions: list[LlamaCppSession] = [model.session() for _ in range(12)]
    for session in sessions[:11]:
        session.extend([5] * 90, keep=1)
    free = model._cache.free

    def collect() -> None:
        del sessions[3]
        free()

    monkeypatch.setattr(model._cache, "free", collect)
    sessions[-1].extend([5] * 90, keep=1)
    assert len(sessions) == 11
    fresh = model.session()
    assert np.abs(fresh.extend(TEXT) - llama.reference(TEXT)).max() < TOLERANCE


def test_a_block_and_single_tokens_agree(tiny: Tiny) -> None:
    assert block_difference(tiny.model) < 1e-4


def broken(session: LlamaCppSession, length: int) -> None:
    """Roll back one token too few."""
    session._cache.cut(session._sequence, min(length + 1, session.length))


def test_a_cache_that_is_not_rolled_back_is_noticed(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlamaCppSession, "rollback", broken)
    with pytest.raises(
        TestbedError, match=r"'tiny' cannot be rolled back: a block .* other logits"
    ):
        block_difference(llama.model)


def test_files_that_llama_cpp_cannot_load_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    with pytest.raises(TestbedError, match=r"^model 'it' in .*m.gguf has a tokenizer that fails: "):
        LlamaCppModel(path, "it", threads=1)


def test_a_gpu_needs_a_build_for_it(llama: Tiny) -> None:
    if llama.model._cache._lib.llama_supports_gpu_offload():
        pytest.skip("this build is for GPUs")
    with pytest.raises(TestbedError, match="'tiny' is to run on cuda, and the installed build"):
        LlamaCppModel(llama.file, "tiny", device="cuda")
