"""Rollback on a network of each family: afterwards logits are as if nothing was removed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import DynamicCache

from testbed.errors import TestbedError
from testbed.models.hf import backends
from testbed.models.hf.model import HuggingFaceModel
from tests.models.tiny import FAMILIES, IDS, LOGITS, RECURRENT, WINDOW, save

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = 1e-5

Load = Callable[..., tuple[HuggingFaceModel, Any]]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Return a family's model and the network that it was saved from."""

    @cache
    def of(family: str, dtype: Any = "fp32") -> tuple[HuggingFaceModel, Any]:
        network = FAMILIES[family]().eval()
        path = save(network, tmp_path_factory.mktemp(family))
        return HuggingFaceModel(path, family, dtype=dtype), network

    return of


def reference(network: Any, text: list[int]) -> NDArray[np.float32]:
    """Return the logits after each token, by transformers and without a cache."""
    with torch.inference_mode():
        logits = network(torch.tensor([text]), use_cache=False).logits[0, :, :IDS]
    return np.asarray(logits.float().numpy())


# A block that is read, and how much of the whole text stays then: all, nothing, or a part.
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.integers(0, IDS - 1), min_size=1, max_size=7),
        st.one_of(st.just(1.0), st.just(0.0), st.floats(0.5, 1)),
    ),
    min_size=1,
    max_size=7,
)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=60)
@given(rounds=ROUNDS)
def test_logits_after_any_rounds_are_those_of_a_fresh_text(
    load: Load, family: str, rounds: list[tuple[list[int], float]]
) -> None:
    model, network = load(family)
    session, text = model.session(), list[int]()
    for block, kept in rounds:
        text += block
        got = session.extend(block)
        assert got.shape == (len(block), IDS)
        fresh = model.session().extend(text, keep=len(block))
        assert np.abs(got - fresh).max() < TOLERANCE
        assert np.abs(got - reference(network, text)[-len(block) :]).max() < TOLERANCE
        del text[round(kept * len(text)) :]
        session.rollback(len(text))
        assert session.length == len(text)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_token_more_or_less_would_show(load: Load, family: str) -> None:
    """The tolerance above is far below the effect of a mistake: here two tokens are swapped."""
    model, _ = load(family)
    right = model.session().extend([5, 9, 4, 7, 11, 12, 3, 8], keep=1)
    wrong = model.session().extend([5, 9, 4, 7, 11, 3, 12, 8], keep=1)
    assert np.abs(right - wrong).max() > 1000 * TOLERANCE


@pytest.mark.parametrize("family", ["mistral", "gemma3", "llama4"])
def test_the_cache_of_transformers_drops_what_a_window_has_passed(
    load: Load, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caches of transformers drop keys, so the sequence above could not be rolled back."""
    model, network = load(family)
    monkeypatch.setattr(backends, "new_cache", lambda: DynamicCache(config=network.config))
    session = model.session()
    session.extend([5, 6, 7] * WINDOW)
    with pytest.raises(RuntimeError, match="sliding window"):
        session.rollback(2)


@pytest.mark.parametrize("family", RECURRENT)
def test_recurrent_models_are_refused(family: str, tmp_path: Path) -> None:
    """RWKV is one of them, although transformers reports full attention for it."""
    path = save(RECURRENT[family](), tmp_path)
    with pytest.raises(
        TestbedError, match=rf"^model 'it' \({family}\) has recurrent layers, .*[^.]$"
    ):
        HuggingFaceModel(path, "it")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_low_precision_loads_and_resembles_fp32(load: Load, family: str, dtype: Any) -> None:
    model, _ = load(family)
    low, _ = load(family, dtype)
    exact, rounded = (one.session().extend([5, 9, 4, 7, 11]) for one in (model, low))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.1 * np.abs(exact).max()


def test_padding_of_the_logits_is_dropped(load: Load) -> None:
    model, network = load("llama")
    assert network.config.vocab_size == LOGITS
    assert model.vocabulary_size == IDS
    assert model.vocabulary_id.startswith(f"{IDS}-")


def test_ids_without_logits_are_never_drawn(tmp_path: Path) -> None:
    """Gemma 3's tokenizer has one id more than its small networks have logits."""
    network = FAMILIES["gemma3"]()
    model = HuggingFaceModel(save(network, tmp_path, ids=LOGITS + 2), "gemma")
    logits = model.session().extend([5, 6])
    assert logits.shape == (2, LOGITS + 2)
    assert np.isfinite(logits[:, :LOGITS]).all()
    assert np.isneginf(logits[:, LOGITS:]).all()
    with pytest.raises(TestbedError, match=f"given token {LOGITS}, .* allows 0 to {LOGITS - 1}"):
        model.session().extend([5, LOGITS])
