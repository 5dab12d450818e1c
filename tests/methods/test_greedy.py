"""Losslessness on the real pair: at temperature 0 in fp32 the text is the target's own."""

from __future__ import annotations

import pytest

from testbed.decoding.sampling import Sampling
from testbed.models.load import load_model
from testbed.models.store.catalog import DEFAULT_DRAFT, resolve
from testbed.models.store.fetch import DEFAULT_MODEL
from tests.support.toy import decode_locally, task

pytestmark = pytest.mark.model
TOKENS = 40
PROMPTS = ["The base station keeps a large language model, and", "def fibonacci(n):\n"]


@pytest.fixture(scope="module")
def target():
    return load_model(resolve(DEFAULT_MODEL), "target")


@pytest.fixture(scope="module")
def draft():
    return load_model(resolve(DEFAULT_DRAFT), "draft")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_dsd_and_dssd_emit_the_targets_greedy_text(target, draft, prompt):
    import torch  # noqa: PLC0415  not before the test is selected
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    tokens = target.encode(prompt)
    network = AutoModelForCausalLM.from_pretrained(resolve(DEFAULT_MODEL).path, dtype="float32")
    with torch.inference_mode():
        reference = network.generate(
            torch.tensor([tokens]),
            attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            max_new_tokens=TOKENS,
            do_sample=False,
        )[0, len(tokens) :].tolist()
    for method in ("dsd", "dssd"):
        greedy = task(method, len(reference), Sampling(temperature=0))
        got = decode_locally(greedy, draft, target, prompt=tokens)
        assert got.tokens == reference
        assert 0 < got.counts.accepted < got.counts.drafted
        assert len(got.tokens) / got.counts.rounds > 1.2


def test_dsd_and_dssd_agree_at_equal_precision(target, draft):
    tokens = target.encode(PROMPTS[0])
    same = {"precision": "fixed16", "target_precision": "fixed16"}
    texts = [
        decode_locally(
            task(method, TOKENS, Sampling(temperature=1.0), **same), draft, target, prompt=tokens
        ).tokens
        for method in ("dsd", "dssd")
    ]
    assert texts[0] == texts[1]
