"""Tokenizers of GGUF files, beside those of the model directories that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from testbed.errors import TestbedError
from testbed.models.hf.directory import ModelDirectory
from testbed.models.llamacpp.text import GgufText
from testbed.models.store.gguf_tokenizer import GgufTokenizer
from testbed.models.vocabulary import require_same_vocabulary
from tests.models.llamacpp.conftest import Tiny
from tests.models.tiny_gguf import write
from tests.models.tiny_llama_cpp import ROWS, byte_level, network_of, save

TEXTS = [
    "", "the rain in the main", " the  rain\n\n", "It's 1 and 234; isn't it? ' . , !",
    "naïve 日本 🙂", "<|im_start|>the<|im_end|>", "tab\tand\r\nline",
]  # fmt: skip


@pytest.fixture
def text(llama: Tiny) -> GgufText:
    return GgufText(llama.file, "tiny")


@pytest.fixture
def directory(llama: Tiny) -> ModelDirectory:
    return ModelDirectory(llama.folder, "tiny")


@pytest.mark.parametrize("written", TEXTS)
def test_texts_are_those_of_transformers(
    text: GgufText, directory: ModelDirectory, written: str
) -> None:
    ids = directory.encode(written)
    assert ids[0] == 1  # the start token
    assert text.encode(written) == ids
    assert text.decode(ids) == directory.decode(ids) == "<|im_start|>" + written
    assert text.encode_chat(written) == directory.encode_chat(written)


def test_parts_of_a_character_are_spelt_as_transformers_does(
    text: GgufText, directory: ModelDirectory
) -> None:
    ids = directory.encode("🙂 the")
    for begin in range(len(ids)):
        for end in range(begin, len(ids) + 1):
            assert text.decode(ids[begin:end]) == directory.decode(ids[begin:end])


def test_limits(text: GgufText) -> None:
    assert text.context_length == 128
    assert text.end_tokens == {0, 2}  # <|endoftext|> ends a generation in llama.cpp, always


def test_a_pair_of_a_file_and_a_directory_shares_a_vocabulary(
    text: GgufText, directory: ModelDirectory
) -> None:
    require_same_vocabulary(directory.vocabulary, text.vocabulary, "target", "draft")
    assert text.vocabulary.fingerprint == directory.vocabulary.fingerprint


def test_a_pair_whose_ids_differ_is_refused(text: GgufText, tmp_path: Path) -> None:
    save(network_of("llama"), byte_level(ids=290), tmp_path)
    with pytest.raises(TestbedError, match=r"share one vocabulary, but id 290 is '.*' to the one "):
        require_same_vocabulary(
            ModelDirectory(tmp_path, "big").vocabulary, text.vocabulary, "big", "tiny"
        )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "'m' has no chat template; leave chat out"),
        ("{{ raise_exception('no') }}", r"'m' has a chat template that fails \(no\)"),
    ],
)
def test_chats_without_a_template_that_works_are_refused(
    tmp_path: Path, template: str | None, said: str
) -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = None
    folder = save(network_of("llama"), tokenizer, tmp_path / "m")
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_context_length(64)
    GgufTokenizer(folder, ModelDirectory(folder, "m"), ROWS).add_to(writer)
    if template:
        writer.add_chat_template(template)
    finish(writer)
    with pytest.raises(TestbedError, match=said):
        GgufText(tmp_path / "m.gguf", "m").encode_chat("Hi")


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("mamba", "recurrent layers, whose state"),
        ("rwkv7", "recurrent layers, whose state"),
        ("jamba", "some recurrent layers, whose state"),
        ("t5", "an encoder"),
        ("llada", "a diffusion head"),
    ],
)
def test_models_that_cannot_be_rolled_back_are_refused_by_their_headers(
    llama: Tiny, tmp_path: Path, architecture: str, said: str
) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", architecture)
    writer.add_context_length(64)
    GgufTokenizer(llama.folder, ModelDirectory(llama.folder, "it"), ROWS).add_to(writer)
    finish(writer)
    with pytest.raises(
        TestbedError, match=rf"^model 'it' has {said}.*; allowed are models .*[^.]$"
    ):
        GgufText(tmp_path / "m.gguf", "it")


def test_a_file_without_a_usable_tokenizer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    with pytest.raises(
        TestbedError,
        match=r"^model 'it' in .*m.gguf cannot be used: .*tokenizer\.ggml\.model.* "
        r"\(xllamacpp [\d.]+\); convert it again, or give another file$",
    ):
        GgufText(path, "it")


def test_pieces_with_spaces_and_bytes(tmp_path: Path) -> None:
    """SentencePiece puts a space before a text; what has no piece is spelt in bytes."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁a", "▁b"]
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_context_length(64)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256, 1, 1])
    finish(writer)
    text = GgufText(tmp_path / "m.gguf", "it")
    assert text.encode("a b") == [1, 259, 260]
    assert text.encode("aé") == [1, 259, 3 + 0xC3, 3 + 0xA9]
    assert text.decode([259, 260]) == "a b"
    assert text.decode([1, 259, 3 + 0xC3, 3 + 0xA9]) == "<s> aé"
    assert text.end_tokens == {2}


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", "nothing")
    with pytest.raises(TestbedError, match=r"unknown model architecture: 'nothing' \(xllamacpp"):
        GgufText(path, "it")


def finish(writer: GGUFWriter) -> None:
    """Write what is announced, and a tensor."""
    writer.add_tensor("a.weight", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
