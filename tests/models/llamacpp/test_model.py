"""Sessions of tiny random networks in GGUF files: the arithmetic, and their caches."""

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
from testbed.models.llamacpp.library import library
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
    model = LlamaCppModel(tiny.file, "tiny", threads=1)
    for keep in (1, 7, 8, 9, 17, 59, 60):
        found = model.session().extend(text, keep=keep)
        assert np.abs(found - expected[-keep:]).max() < TOLERANCE


def test_a_cache_that_grows_keeps_its_text(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_FIRST", 256)
    text = [(7 * index) % 300 for index in range(100)]
    expected = tiny.reference(text)
    rooms = []
    for first in (256, 16):
        monkeypatch.setattr(cache, "_FIRST", first)
        session = LlamaCppModel(tiny.file, "tiny", threads=1).session()
        for begin in range(0, 90, 10):
            session.extend(text[begin : begin + 10], keep=1)
            session.rollback(begin + 8)
            session.extend(text[begin + 8 : begin + 10])
        session.rollback(85)
        assert np.abs(session.extend(text[85:]) - expected[85:]).max() < TOLERANCE
        rooms.append(session._cache._room)
    assert rooms == [256, 128]


@pytest.mark.parametrize("failing", ["llama_decode", "llama_state_get_data"])
def test_a_text_is_what_it_was_after_a_failure(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Of the second of two passes, or of the copy to a larger cache."""
    text = [(7 * index) % 300 for index in range(60)]
    monkeypatch.setattr(cache, "_PASS", 16)
    monkeypatch.setattr(cache, "_FIRST", 256 if failing == "llama_decode" else 16)
    session = LlamaCppModel(llama.file, "tiny", threads=1).session()
    session.extend(text[:10])
    decode, fails = library().llama_decode, iter([0, 1])
    failures: dict[str, Any] = {
        "llama_decode": lambda *given: next(fails) or decode(*given),
        "llama_state_get_data": lambda *given: 0,
    }
    with monkeypatch.context() as patch:
        patch.setattr(library(), failing, failures[failing])
        with pytest.raises(
            TestbedError, match=r"'tiny': (a pass over 16|its cache cannot be copi)"
        ):
            session.extend(text[10:50])
    assert session.length == 10
    assert np.abs(session.extend(text[10:]) - llama.reference(text)[10:]).max() < TOLERANCE


@pytest.mark.parametrize("room", [16, 128])
def test_keys_that_a_window_has_passed_stay(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """llama.cpp would write new keys over them, and leaves them out of some copies."""
    monkeypatch.setattr(cache, "_FIRST", room)
    text = [(7 * index) % 300 for index in range(60)]
    expected = tiny.reference(text)
    session = LlamaCppModel(tiny.file, "tiny", threads=1).session()
    session.extend(text, keep=1)
    for _ in range(60):
        session.extend([5])
    assert session._cache._room == 128
    for length in (55, 30, 3):
        session.rollback(length)
        assert np.abs(session.extend(text[length:]) - expected[length:]).max() < TOLERANCE


def test_sessions_do_not_depend_on_each_other(tiny: Tiny) -> None:
    """To the last digit, however many there are, and whatever they have read."""
    model = tiny.model
    alone = model.session().extend(TEXT)
    others = [model.session() for _ in range(80)]
    for number, other in enumerate(others):
        other.extend([number] * (1 + number), keep=1)
    np.testing.assert_array_equal(model.session().extend(TEXT), alone)


def test_collected_sessions_and_models_return_their_memory(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[str] = []
    for name in ("llama_free", "llama_model_free"):
        free = getattr(library(), name)
        monkeypatch.setattr(
            library(), name, lambda what, name=name, free=free: (freed.append(name), free(what))
        )
    model = LlamaCppModel(llama.file, "tiny", threads=1)
    monkeypatch.setattr(cache, "_FIRST", 16)
    sessions = [model.session() for _ in range(3)]
    for session in sessions:
        session.extend([5] * 20)
    del session, model
    gc.collect()
    assert freed == []
    del sessions[0]
    gc.collect()
    assert freed == ["llama_free"]
    sessions[0].extend([5] * 40)  # beyond its room
    assert freed == ["llama_free"] * 2
    sessions.clear()
    gc.collect()
    assert freed == ["llama_free"] * 4 + ["llama_model_free"]


def test_a_model_is_collected_together_with_its_sessions(llama: Tiny) -> None:
    """In a circle, where nothing says which of them goes first."""
    model = LlamaCppModel(llama.file, "tiny", threads=1)
    session: Any = model.session()
    session.extend(TEXT)
    session.circle = session
    del model, session
    gc.collect()


def test_a_block_and_single_tokens_agree(tiny: Tiny) -> None:
    assert block_difference(tiny.model) < 1e-4


def broken(session: LlamaCppSession, length: int) -> None:
    """Roll back one token too few."""
    session._cache.cut(min(length + 1, session.length))


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
    with pytest.raises(TestbedError, match=r"^model 'it' in .*m.gguf cannot be used: .*; convert"):
        LlamaCppModel(path, "it", threads=1)


def test_a_gpu_needs_a_build_for_it(llama: Tiny) -> None:
    if library().llama_supports_gpu_offload():
        pytest.skip("this build is for GPUs")
    with pytest.raises(TestbedError, match="'tiny' is to run on cuda, and the installed build"):
        LlamaCppModel(llama.file, "tiny", device="cuda")
