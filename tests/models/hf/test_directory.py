"""Configuration and tokenizer of a model directory, without its weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BloomConfig, BloomForCausalLM, Phi3Config, Phi3ForCausalLM

from testbed.errors import TestbedError
from testbed.models import chat_templates
from testbed.models.hf.directory import ModelDirectory
from tests.models.tiny import CONTEXT, FAMILIES, IDS, save

TEMPLATE = (
    "{% for m in messages %}w7 {{ m.role }} {{ m.content }} w8 {% endfor %}"
    "{% if add_generation_prompt %}w9{% endif %}"
)


LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., ModelDirectory]:
    """Save a tiny Llama with some keys of one file changed; None removes a key."""

    def change(file: str = "config.json", keep: bool = True, **changes: Any) -> ModelDirectory:
        path = save(FAMILIES["llama"](), tmp_path / "model")
        content = {**json.loads((path / file).read_bytes()), **changes}
        content = {key: value for key, value in content.items() if value is not None}
        (path / file).write_text(json.dumps(content))
        if not keep:
            (path / "generation_config.json").unlink()
        return ModelDirectory(path, "tiny")

    return change


def test_a_whole_directory(edited: Callable[..., ModelDirectory]) -> None:
    directory = edited()
    assert directory.vocabulary.size == IDS
    assert directory.vocabulary.tokens[5] == "w5"
    assert directory.context_length == CONTEXT
    assert directory.encode("w5 w17") == [5, 17]
    assert directory.decode([5, 17]) == "w5 w17"


def test_end_tokens_are_those_of_the_first_that_has_some(
    edited: Callable[..., ModelDirectory],
) -> None:
    assert edited("generation_config.json", eos_token_id=[3, 4]).end_tokens == {3, 4}
    assert edited("config.json", keep=False, eos_token_id=5).end_tokens == {5}
    tokenizers_own = 2
    assert edited("config.json", keep=False, eos_token_id=None).end_tokens == {tokenizers_own}


def test_contexts(tmp_path: Path) -> None:
    """LongRoPE would rotate cached keys again beyond its first length; BLOOM has no positions."""
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "original_max_position_embeddings": 64,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    }
    size = {"vocab_size": IDS, "hidden_size": 32, "num_attention_heads": 4, "eos_token_id": 2}
    phi = Phi3Config(
        **size, intermediate_size=8, num_hidden_layers=1, pad_token_id=0,
        max_position_embeddings=128, original_max_position_embeddings=64, rope_parameters=rope,
    )  # fmt: skip
    path = save(Phi3ForCausalLM(phi), tmp_path / "phi")
    assert ModelDirectory(path, "phi").context_length == 64
    path = save(BloomForCausalLM(BloomConfig(**size, n_layer=1)), tmp_path / "bloom")
    assert ModelDirectory(path, "bloom").context_length > 10**9


def test_a_start_token_comes_once_with_and_without_chat(tmp_path: Path) -> None:
    template = "w1 " + TEMPLATE
    path = save(FAMILIES["llama"](), tmp_path, start=True, template=template)
    directory = ModelDirectory(path, "chatty")
    assert directory.encode("w5 w6") == [1, 5, 6]
    assert directory.encode_chat("w5 w6") == [1, 7, 0, 5, 6, 8, 9]  # "user" is unknown, w0


def test_chat_without_a_template(edited: Callable[..., ModelDirectory]) -> None:
    with pytest.raises(TestbedError, match=r"^model 'tiny' has no chat template; leave chat out,"):
        edited().encode_chat("w5")


def test_a_template_that_refuses(tmp_path: Path) -> None:
    template = "{{ raise_exception('a system turn is needed') }}"
    path = save(FAMILIES["llama"](), tmp_path, template=template)
    with pytest.raises(TestbedError, match=r"^model 'it' .* fails \(a system turn is needed\)$"):
        ModelDirectory(path, "it").encode_chat("w5")


def test_a_template_is_rendered_as_transformers_does(tmp_path: Path) -> None:
    directory = ModelDirectory(save(FAMILIES["llama"](), tmp_path, template=TEMPLATE), "it")
    wrapped: Any = directory._tokenizer._tokenizer
    for prompt in ("w5", "w6 w5", "ü \U0001f600"):
        turn = [{"role": "user", "content": prompt}]
        assert directory.encode_chat(prompt) == wrapped.apply_chat_template(
            turn, add_generation_prompt=True, return_dict=False
        )


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ [].append(1) }}", "access to attribute 'append' of 'list' object is unsafe"),
        ("{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}", "maximum recursion depth exceeded"),
        ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ messages[0].content.missing.more }}", "'str object' has no attribute 'missing'"),
        ("{% if %}", "Expected an expression, got 'end of statement block'"),
        ("{{ 'x' * 10**11 }}", "MemoryError"),
        (LOOP, "it computed for 1 s"),
        (
            "{% set n = namespace(t='x' * 10000000) %}{{ n.t * 9 }}",
            "it writes more than 67,108,864",
        ),
    ],
)
def test_a_template_that_does_not_render_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, why: str
) -> None:
    monkeypatch.setattr(chat_templates, "SECONDS", 1)
    # What cannot even be parsed fails for each prompt, all else for this one alone.
    guard = "{% if messages[0].content == 'bad' %}", "{% endif %}w9"
    parses = template != "{% if %}"
    path = save(
        FAMILIES["llama"](), tmp_path, template=template.join(guard) if parses else template
    )
    directory = ModelDirectory(path, "it")
    with pytest.raises(TestbedError, match=r"^model 'it' has a chat template that fails \(") as got:
        directory.encode_chat("bad")
    assert why in str(got.value)
    assert "\n" not in str(got.value)
    if parses:
        assert directory.encode_chat("good") == [9]  # by a new child where the old one died


def test_one_child_renders_all_and_ends_with_its_parent() -> None:
    renderer = chat_templates.Renderer(lambda prompt: f"{os.getpid()} {prompt}")
    first, second = (renderer(prompt).split() for prompt in ("a", "b"))
    assert first[0] == second[0] != str(os.getpid())
    assert (first[1], second[1]) == ("a", "b")
    code = (
        "import os, time; from testbed.models.chat_templates import Renderer; "
        "print(Renderer(lambda _: str(os.getpid()))('x'), flush=True); time.sleep(100)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = Path("/proc", parent.stdout.readline().strip())
        assert child.is_dir()
        parent.kill()
        parent.wait()
        while child.is_dir() and "zombie" not in (child / "status").read_text():
            time.sleep(0.01)


def test_a_tokenizer_of_vocabulary_and_merges(tmp_path: Path) -> None:
    """The format of OPT: vocab.json and merges.txt, and every text starts with </s>."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=270,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
    )
    trained.train_from_iterator(["hello world"] * 9, trainer)
    path = save(FAMILIES["opt"](), tmp_path)
    (path / "tokenizer.json").unlink()
    model = json.loads(trained.to_str())["model"]
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (path / "vocab.json").write_text(json.dumps(model["vocab"]))
    (path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    config = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True}
    config |= {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    directory = ModelDirectory(path, "opt")
    tokens = directory.encode("hello world")
    assert tokens == [2, *trained.encode("hello world").ids]
    assert directory.decode(tokens) == "</s>hello world"
    assert directory.vocabulary.size == trained.get_vocab_size()


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("none", r"has no tokenizer that can be read \(.*\); needed is tokenizer\.json, or vocab"),
        ("tokenizer.model", r"only in tokenizer\.model; .*: pip install sentencepiece protobuf$"),
    ],
)
def test_no_tokenizer_is_one_sentence(tmp_path: Path, file: str, words: str) -> None:
    path = save(FAMILIES["llama"](), tmp_path)
    for each in path.glob("tokenizer*"):
        each.unlink()
    (path / file).write_bytes(b"no sentencepiece model")
    with pytest.raises(TestbedError, match=rf"^model 'it' in .* {words}") as caught:
        ModelDirectory(path, "it")
    assert "\n" not in str(caught.value)


def test_code_of_its_own_is_never_run(
    edited: Callable[..., ModelDirectory], tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "code.py").write_text("raise SystemExit('it was run')")
    own = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    with pytest.raises(TestbedError, match=r"^model 'tiny' in .* code of its own, .* never run;"):
        edited(model_type="zork", auto_map=own)
    edited(auto_map=own)  # transformers knows llamas itself


def test_a_configuration_of_brackets_is_one_sentence(tmp_path: Path) -> None:
    path = save(FAMILIES["llama"](), tmp_path)
    for file, words in (
        ("tokenizer_config.json", "has no tokenizer that can be read"),
        ("generation_config.json", ""),
        ("config.json", "cannot read the configuration of model 'it'"),
    ):
        (path / file).write_text("[" * 100_000)
        if words:
            with pytest.raises(TestbedError, match=words) as caught:
                ModelDirectory(path, "it")
            assert "\n" not in str(caught.value)
            (path / file).write_text("{}")
        else:
            assert ModelDirectory(path, "it").end_tokens == {2}  # what is damaged says nothing


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "zork"}, r"cannot read the configuration of model 'tiny'.*zork"),
        ({"architectures": ["LlamaModel"]}, r"\(LlamaModel\) has no trained causal head"),
        ({"architectures": None}, r"\(llama\) has no trained causal head"),
        ({"num_hidden_layers": -3}, r"num_hidden_layers -3 in config.json; allowed is 1 to"),
        ({"num_hidden_layers": 10**7}, r"num_hidden_layers 10000000 in config.json; allowed"),
        ({"hidden_size": 10**12}, r"hidden_size 1000000000000 in config.json; allowed is"),
        ({"max_position_embeddings": 0}, r"has a context of 0 tokens in config"),
        ({"architectures": 3}, r"\(llama\) has no trained causal head"),
    ],
)
def test_other_models_are_refused(
    edited: Callable[..., ModelDirectory], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(TestbedError, match=words) as caught:
        edited(**changes)
    assert "\n" not in str(caught.value)


def test_a_template_is_not_rendered_where_its_process_cannot_be_limited(monkeypatch):
    monkeypatch.setattr(chat_templates, "_resource", lambda: None)
    render = chat_templates.Renderer(str)
    with pytest.raises(chat_templates.TemplateFailedError, match="this system has no limits for"):
        render("w1")
