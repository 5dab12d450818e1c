"""Export to GGUF: what llama.cpp then computes and reads, and what is refused."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers

from testbed import cli
from testbed.errors import TestbedError
from testbed.exit_codes import VALID
from testbed.host.machine_errors import sentence
from testbed.models.llamacpp.model import LlamaCppModel
from testbed.models.llamacpp.text import GgufText
from testbed.models.spec import GgufSpec, GgufType, HuggingFaceSpec
from testbed.models.store import gguf_tokenizer
from testbed.models.store.gguf_export import export_gguf
from tests.models import tiny
from tests.models.tiny_llama_cpp import ROWS, byte_level, network_of, save

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT = [5, 9, 4, 7, 11, 280, 290, 3, 8, 40, 21] * 3
ROPE = {"rope_theta": 10000.0}
LLAMA_3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def spec(path: Path) -> HuggingFaceSpec:
    return HuggingFaceSpec(str(path), "tiny")


def reference(network: Any) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(network(torch.tensor([TEXT]), use_cache=False).logits[0].numpy())


def exported(network: Any, folder: Path, kind: GgufType = "f32") -> NDArray[np.float32]:
    """Return the logits after TEXT by llama.cpp, from a file of this type."""
    file = folder / "tiny.gguf"
    export_gguf(spec(save(network, byte_level(), folder / "model")), file, kind)
    return LlamaCppModel(file, "tiny", threads=1).session().extend(TEXT)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("f32", 0, 0.01), ("f16", 0, 0.02), ("q8_0", 0.01, 0.15), ("q4_0", 0.1, 2)],
)
def test_logits_are_those_of_transformers_up_to_the_type(
    tmp_path: Path, kind: GgufType, least: float, most: float
) -> None:
    network = network_of("llama")
    found = exported(network, tmp_path, kind)
    assert least <= np.abs(found - reference(network)[:, :300]).max() < most


@pytest.mark.parametrize(
    "more",
    [
        {"tie_word_embeddings": True},
        {"head_dim": 16},
        {"num_key_value_heads": 4},
        {"rms_norm_eps": 0.1},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
        {"rope_parameters": {**ROPE, "rope_type": "linear", "factor": 4.0}},
        {"rope_parameters": {**ROPE, **LLAMA_3}},
    ],
    ids=str,
)
def test_what_a_configuration_changes_is_carried(tmp_path: Path, more: dict[str, Any]) -> None:
    plain, network = network_of("llama", head_dim=8), network_of("llama", **more)
    if same := "head_dim" not in more and "num_key_value_heads" not in more:
        network.load_state_dict(plain.state_dict())
        network.tie_weights()
    expected = reference(network)
    if same:
        assert np.abs(reference(plain) - expected).max() > 0.02  # it shows
    assert np.abs(exported(network, tmp_path) - expected[:, :300]).max() < 0.01


def test_weights_may_be_in_several_files_and_in_half_precision(tmp_path: Path) -> None:
    network, model = network_of("llama").bfloat16(), tmp_path / "model"
    save(network, byte_level(), model)
    (model / "model.safetensors").unlink()
    network.save_pretrained(model, max_shard_size="20KB")
    assert len(list(model.glob("*.safetensors"))) > 3
    export_gguf(spec(model), tmp_path / "tiny.gguf", "f32")
    found = LlamaCppModel(tmp_path / "tiny.gguf", "tiny", threads=1).session().extend(TEXT)
    assert np.abs(found - reference(network.float())[:, :300]).max() < 0.01


def test_a_head_for_the_first_ids_is_whole_in_the_file(tmp_path: Path) -> None:
    network = network_of("llama", tie_word_embeddings=True)
    network.config.draft_vocab_size = 100
    model = save(network, byte_level(), tmp_path / "model")
    notes = export_gguf(spec(model), tmp_path / "tiny.gguf", "f32")
    assert notes[-1] == (
        "its head has all 320 rows there, so it proposes all ids, not only the first 100"
    )
    found = LlamaCppModel(tmp_path / "tiny.gguf", "tiny", threads=1).session().extend(TEXT)
    assert np.abs(found - reference(network)[:, :300]).max() < 0.01


def test_types_of_the_tensors(tmp_path: Path) -> None:
    """The embedding and the head are less rounded than the layers, as by llama.cpp's own tool."""
    exported(network_of("llama"), tmp_path, "q4_0")
    types = {
        each.name: each.tensor_type.name for each in GGUFReader(tmp_path / "tiny.gguf").tensors
    }
    assert types["token_embd.weight"] == types["output.weight"] == "Q8_0"
    assert types["blk.0.attn_q.weight"] == types["blk.2.ffn_down.weight"] == "Q4_0"
    assert types["blk.0.attn_norm.weight"] == types["output_norm.weight"] == "F32"


# --- tokenizers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("splitting", "steps"),
    [
        ("gpt-2", [pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        (
            "smollm",
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ],
        ),
        (
            "llama-bpe",
            [
                pre_tokenizers.Split(Regex(gguf_tokenizer._LLAMA_3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ],
        ),
    ],
)
def test_ways_to_split_a_text(tmp_path: Path, splitting: str, steps: list[Any]) -> None:
    tokenizer = byte_level(split=pre_tokenizers.Sequence(steps), start=True)
    tokenizer.backend_tokenizer.model.ignore_merges = splitting == "llama-bpe"
    model = save(network_of("llama"), tokenizer, tmp_path / "model")
    notes = export_gguf(spec(model), tmp_path / "tiny.gguf", "f16")
    assert notes == ["llama.cpp also ends a generation at <|endoftext|>"]
    written = GGUFReader(tmp_path / "tiny.gguf").get_field("tokenizer.ggml.pre")
    assert written is not None
    assert written.contents() == splitting


def test_added_tokens_are_carried(tmp_path: Path) -> None:
    more = [AddedToken("<plain>", normalized=False), AddedToken("<odd>", special=True)]
    model = save(network_of("llama"), byte_level(more=more), tmp_path / "model")
    export_gguf(spec(model), tmp_path / "tiny.gguf", "f16")
    text = GgufText(tmp_path / "tiny.gguf", "tiny")
    assert text.decode(text.encode("a<plain>b<odd>")) == "a<plain>b<odd>"
    assert text.encode("<plain><odd>") == [300, 301]


def test_several_end_tokens_are_carried(tmp_path: Path) -> None:
    network = network_of("llama")
    network.generation_config.eos_token_id = [2, 17]
    model = save(network, byte_level(), tmp_path / "model")
    export_gguf(spec(model), tmp_path / "tiny.gguf", "f16")
    assert GgufText(tmp_path / "tiny.gguf", "tiny").end_tokens == {0, 2, 17}


def test_more_end_tokens_than_a_file_names_are_refused(tmp_path: Path) -> None:
    network = network_of("llama")
    network.generation_config.eos_token_id = [2, 17, 18, 19]
    refused(network, byte_level(), tmp_path, "it has the end token 19, which llama.cpp does not")


def stripping() -> Any:
    return byte_level(more=[AddedToken("<mask>", lstrip=True)])


def normalising() -> Any:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def ending() -> Any:
    from tokenizers.processors import TemplateProcessing  # noqa: PLC0415

    tokenizer = byte_level()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        "$A <|im_end|>", None, [("<|im_end|>", 2)]
    )
    return tokenizer


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (stripping, "it has the token '<mask>' with lstrip"),
        (normalising, "it has the normalizer NFC"),
        (ending, "it makes .* of 'a', which is more than a start token and the text"),
        (
            lambda: byte_level(split=pre_tokenizers.Whitespace()),
            "it splits texts in a way that is not one of gpt-2, smollm, llama-bpe",
        ),
        (
            lambda: byte_level(more=[f"<{index}>" for index in range(ROWS)]),
            "it has the id 619, for which the network's 320 rows have none",
        ),
    ],
)
def test_tokenizers_that_cannot_be_carried_are_refused(
    tmp_path: Path, make: Any, said: str
) -> None:
    refused(network_of("llama"), make(), tmp_path, said)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = tiny.save(network_of("llama"), tmp_path / "model")
    with pytest.raises(TestbedError, match=r"carry exactly: it has the type 'WordLevel'$"):
        export_gguf(spec(model), tmp_path / "tiny.gguf", "f32")


@pytest.mark.parametrize("what", ["encode", "decode", "encode_chat"])
def test_a_file_in_which_texts_differ_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(gguf_tokenizer.GgufText, what, lambda *_: [7])
    refused(network_of("llama"), byte_level(), tmp_path, "it (makes|spells|has a chat template)")


def refused(network: Any, tokenizer: Any, folder: Path, said: str) -> None:
    """Check that a model is refused because of its tokenizer, and that nothing is left."""
    model = save(network, tokenizer, folder / "model")
    with pytest.raises(
        TestbedError,
        match=rf"^model 'tiny' has a tokenizer that a GGUF file cannot carry exactly: {said}",
    ):
        export_gguf(spec(model), folder / "tiny.gguf", "f32")
    assert [each.name for each in folder.iterdir()] == ["model"]


# --- what else is refused -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(network_of("llama"), byte_level(), tmp_path_factory.mktemp("model"))


def test_places_where_nothing_is_written(tmp_path: Path, model: Path) -> None:
    there = tmp_path / "there.gguf"
    there.write_text("a model")
    for file, said in (
        (there, "there is such a file; remove it, or name another"),
        (tmp_path / "m.bin", "the file's name must end with .gguf"),
        (tmp_path / "no" / "m.gguf", "there is no folder .*/no; make it first"),
    ):
        with pytest.raises(TestbedError, match=f"^{file}: {said}$"):
            export_gguf(spec(model), file, "f32")
    assert there.read_text() == "a model"
    assert list(tmp_path.iterdir()) == [there]


def test_a_gguf_file_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"'m' is a GGUF file already; copy it$"):
        export_gguf(GgufSpec("m.gguf", "m"), tmp_path / "n.gguf", "f32")


@pytest.mark.parametrize(
    ("family", "more", "said"),
    [
        ("qwen3", {}, "is of the family qwen3; only Llamas are exported"),
        ("llama", {"attention_bias": True}, "has attention_bias True in config.json"),
        ("llama", {"hidden_act": "gelu"}, "has hidden_act 'gelu' in config.json"),
        (
            "llama",
            {"rope_parameters": {**ROPE, "rope_type": "yarn", "factor": 4.0}},
            "has rope_type 'yarn' in config.json",
        ),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, family: str, more: dict[str, Any], said: str
) -> None:
    model = save(network_of(family, **more), byte_level(), tmp_path / "model")
    with pytest.raises(TestbedError, match=rf"^model 'tiny' {said}.*[^.]$"):
        export_gguf(spec(model), tmp_path / "tiny.gguf", "f32")


def test_rows_that_are_no_whole_blocks_are_refused(tmp_path: Path) -> None:
    network = network_of("llama", intermediate_size=80)
    model = save(network, byte_level(), tmp_path / "model")
    with pytest.raises(TestbedError, match=r"has 80 columns in blk.0.ffn_down.weight, and Q8_0 "):
        export_gguf(spec(model), tmp_path / "tiny.gguf", "q8_0")
    export_gguf(spec(model), tmp_path / "tiny.gguf", "f16")


def test_numbers_that_overflow_are_refused(tmp_path: Path) -> None:
    network = network_of("llama")
    with torch.no_grad():
        network.model.layers[1].mlp.up_proj.weight[3, 4] = 1e6
    model = save(network, byte_level(), tmp_path / "model")
    with pytest.raises(TestbedError, match=r"layers.1.mlp.up_proj.weight has numbers beyond 6.55e"):
        export_gguf(spec(model), tmp_path / "tiny.gguf", "f16")
    assert [each.name for each in tmp_path.iterdir()] == ["model"]
    export_gguf(spec(model), tmp_path / "tiny.gguf", "f32")


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 64 kB, as on a disk that is full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path, model: Path) -> None:
    file = tmp_path / "tiny.gguf"
    with pytest.raises(OSError, match="large") as raised:
        export_gguf(spec(model), file, "f32")
    assert sentence(raised.value).startswith(f"{file}: the file is larger than")
    assert not list(tmp_path.iterdir())


# --- the command ----------------------------------------------------------------------------------


def test_the_command_exports_a_model(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.gguf"
    words = ["testbed", "models", "export", str(model), str(file), "--type", "q4_0"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == VALID
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{file}: {file.stat().st_size / 1e6:.1f} MB, q4_0"
    assert said[1] == "llama.cpp also ends a generation at <|endoftext|>"
