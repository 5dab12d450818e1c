"""The default models; download them first: testbed models fetch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from testbed.models.hf.model import HuggingFaceModel
from testbed.models.llamacpp.model import LlamaCppModel
from testbed.models.load import load_model
from testbed.models.packed_draft import unpack
from testbed.models.spec import Role
from testbed.models.store.catalog import DEFAULT_DRAFT, resolve, with_options
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.models.store.gguf_export import export_gguf
from testbed.models.store.shipped import DATA

QUICKSTART = Path(__file__).parents[2] / "scripts/scenarios/quickstart.yaml"
pytestmark = pytest.mark.model

PROMPT = "The three laws of thermodynamics are:\n\n1."


def load(alias: str, role: Role) -> HuggingFaceModel:
    model = load_model(resolve(alias), role)
    assert isinstance(model, HuggingFaceModel)
    return model


@pytest.fixture(scope="module")
def target() -> HuggingFaceModel:
    return load(DEFAULT_MODEL, "target")


@pytest.fixture(scope="module")
def draft() -> HuggingFaceModel:
    return load(DEFAULT_DRAFT, "draft")


def laws(model: HuggingFaceModel, text: list[int], temperature: float) -> NDArray[np.float64]:
    """Return the next-token distributions after each token of `text`, [len(text), V]."""
    logits = model.session().extend(text).astype(np.float64) / temperature
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def test_files(target: HuggingFaceModel) -> None:
    size = (Path(resolve(DEFAULT_MODEL).path) / "model.safetensors").stat().st_size
    assert size == pytest.approx(538.1e6, rel=1e-3)  # the embedding once: 135 M floats, not 163
    assert (target.vocabulary_size, target.context_length) == (49152, 8192)
    assert target.end_tokens == {2}


def test_tokenizer_is_smollms(target: HuggingFaceModel) -> None:
    assert target.encode("<|im_start|>user\nHi<|im_end|>") == [1, 4093, 198, 26843, 2]
    assert target.encode("\n\n12") == [1116, 33, 34]  # one token for both line ends
    for text in (PROMPT, "naïve café 日本語 🙂", "def f(x):\n\treturn  x # 1234 it's"):
        assert target.decode(target.encode(text)) == text


def test_greedy_text_is_that_of_transformers(target: HuggingFaceModel) -> None:
    network: Any = AutoModelForCausalLM.from_pretrained(resolve(DEFAULT_MODEL).path)
    prompt = target.encode(PROMPT)
    expected = network.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=40, min_new_tokens=40
    )[0].tolist()
    session, text = target.session(), list(prompt)
    row = session.extend(prompt, keep=1)[-1]
    for _ in range(40):
        row[list(target.end_tokens)] = -np.inf  # what min_new_tokens does
        text.append(int(row.argmax()))
        row = session.extend(text[-1:])[-1]
    assert text == expected
    assert len(set(text[-40:])) > 15  # words, not one token over and over


def test_blocks_agree_with_single_steps_before_and_after_rollback(
    target: HuggingFaceModel,
) -> None:
    text = target.encode(PROMPT + " Energy can be neither created nor destroyed.\n2. Entropy")
    session = target.session()
    steps = np.concatenate([session.extend([token]) for token in text])
    block = target.session().extend(text)
    assert np.abs(block - steps).max() <= 1e-3
    assert np.array_equal(block.argmax(axis=1), steps.argmax(axis=1))
    for cut in (15, 7, 1, 0):
        session.rollback(cut)
        again = session.extend(text[cut : cut + 6])
        assert np.abs(again - block[cut : cut + 6]).max() <= 1e-3


def test_draft_is_often_accepted(
    target: HuggingFaceModel,
    draft: HuggingFaceModel,
    record_property: Callable[[str, object], None],
) -> None:
    """Over generations of the target at temperature 1, in the quickstart's scenario."""
    assert draft.vocabulary_id == target.vocabulary_id
    random, overlaps = np.random.default_rng(0), list[float]()
    for prompt in yaml.safe_load(QUICKSTART.read_text())["prompts"]:
        text = target.encode(prompt)
        written, session, new = len(text), target.session(), text
        for _ in range(48):
            row = session.extend(new, keep=1)[-1].astype(np.float64)
            weights = np.exp(row - row.max())
            new = [int(random.choice(row.size, p=weights / weights.sum()))]
            text = text + new
        overlap = np.minimum(laws(target, text, 1), laws(draft, text, 1)).sum(axis=1)
        overlaps += overlap[written - 1 : -1].tolist()
    acceptance = float(np.mean(overlaps))
    record_property("acceptance", acceptance)
    assert 0.35 < acceptance < 0.99  # 1 would mean that the draft is the target


def test_shipped_draft_is_small() -> None:
    packed = DATA / f"{DEFAULT_DRAFT}.safetensors"
    assert packed.stat().st_size < 32e6
    draft = unpack(packed)
    assert draft.notes["target"] == DEFAULT_MODEL
    assert 3 * len(draft.layers) < 30  # a third of the target's


def test_an_exported_draft_has_the_same_distributions(
    draft: HuggingFaceModel, tmp_path: Path
) -> None:
    """Up to the ids that only the whole head in the file proposes, and rounding of keys to fp16."""
    file = tmp_path / "draft.gguf"
    export_gguf(resolve(DEFAULT_DRAFT), file, "f32")
    exported, text = LlamaCppModel(file, "exported"), draft.encode(PROMPT * 3)
    assert exported.vocabulary_id == draft.vocabulary_id
    assert exported.encode(PROMPT * 3) == text
    expected = load_model(with_options(resolve(DEFAULT_DRAFT), dtype="fp32"), "draft")
    logits = expected.session().extend(text)
    proposed = np.isfinite(logits[0])
    assert proposed.sum() < 20_000
    found = exported.session().extend(text)
    assert np.isfinite(found).all()
    difference = np.abs(found - logits)[:, proposed].max()
    assert difference < 0.002 * np.ptp(logits[:, proposed])
