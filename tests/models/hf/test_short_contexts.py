"""Models with contexts shorter than warm-ups and trials normally read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from transformers import OPTConfig, OPTForCausalLM

from nodes.arguments import WARM_BLOCK, WARM_PROMPT, load_warm
from testbed.errors import TestbedError
from testbed.models.hf.backends import plain_backend
from testbed.models.hf.directory import ModelDirectory
from testbed.models.hf.model import load_network
from testbed.models.operator_trial import try_operator
from testbed.models.spec import HuggingFaceSpec, OperatorChoice
from tests.models.tiny import LOGITS, save

NONE = OperatorChoice(None, "plain layers: not tried", "here")


def short(path: Path, positions: int) -> Path:
    """Save a model with a learnt vector for each position, and none beyond them."""
    config = OPTConfig(
        vocab_size=LOGITS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64,
        word_embed_proj_dim=32, max_position_embeddings=positions, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    return save(OPTForCausalLM(config), path)


@pytest.mark.parametrize("positions", [8, 20, WARM_PROMPT + WARM_BLOCK])
def test_a_model_of_few_positions_is_warmed_up_and_tried(tmp_path, positions):
    path = short(tmp_path, positions)
    spec = HuggingFaceSpec(str(path), "short", operators=NONE)
    model = load_warm(msgspec.json.encode(spec).decode(), "draft")
    assert model.context_length == positions
    session = model.session()
    session.extend([5] * positions)
    backend = plain_backend(load_network(path, "short", "fp32", (), "cpu"), "short", "fp32", "cpu")
    choice = try_operator(backend, "fp32", LOGITS, room=positions)
    assert "refused" not in choice.why


def test_one_of_fewer_than_rollback_is_proved_on_is_refused(tmp_path):
    path = short(tmp_path, 8)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 7}))
    with pytest.raises(TestbedError, match=r"context of 7 tokens .*; allowed is 8 or more"):
        ModelDirectory(path, "short")
