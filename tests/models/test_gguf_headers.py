from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.models.gguf_headers import GgufFile, read_gguf
from tests.models.tiny_gguf import write


def test_what_is_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    assert read_gguf(path, "m") == GgufFile(
        path=path,
        name="m",
        context_length=64,
        tokens={0: "<s>", 1: "a", 2: "ä"},
        chat_template="{{ x }}",
        numbers=101,
        size=3 * 32 * 4 + 10,
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"general.type": "adapter"}, "it holds 'adapter', not a model"),
        ({"general.type": "mmproj"}, "it holds 'mmproj', not a model"),
        ({"split.count": 3}, "it is one of 3 parts of a model; join them"),
        ({"tokenizer.ggml.tokens": None}, "it has no tokenizer"),
        ({"tokenizer.ggml.tokens": [1, 2, 3, 4]}, "it has no tokenizer"),
        ({"tokenizer.ggml.model": "none"}, "it has no tokenizer"),
        (
            {"tokenizer.ggml.tokens": ["a", "b", "a\0c"]},
            "it has the token 'a' twice; convert it again",
        ),
        ({"tokenizer.ggml.model": "llama"}, "its tokenizer has no token for byte 0; allowed"),
        ({"llama.context_length": 0}, "its llama.context_length is 0"),
        ({"general.alignment": 0}, "its general.alignment is 0; allowed is 1 on"),
    ],
)
def test_what_is_no_whole_model_is_refused(
    tmp_path: Path, more: dict[str, object], said: str
) -> None:
    path = write(tmp_path / "m.gguf", **more)
    with pytest.raises(TestbedError, match=f"^model 'm' in .*m.gguf cannot be used: {said}"):
        read_gguf(path, "m")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(0, len(whole) - 31, 7):  # the last tensor is padded to 32 bytes
        cut.write_bytes(whole[:length])
        with pytest.raises(TestbedError, match=r"cut.gguf cannot be (used|read): "):
            read_gguf.__wrapped__(cut, "m")


def test_counts_beyond_the_file_take_no_memory(tmp_path: Path) -> None:
    whole = bytearray(write(tmp_path / "m.gguf").read_bytes())
    for at in (8, 16):  # tensors, keys
        damaged = whole.copy()
        damaged[at : at + 8] = (2**62).to_bytes(8, "little")
        path = tmp_path / f"{at}.gguf"
        path.write_bytes(damaged)
        with pytest.raises(TestbedError, match="cannot be used"):
            read_gguf(path, "m")


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "m.gguf"
    other.write_text("no model")
    with pytest.raises(TestbedError, match="it is not a GGUF file"):
        read_gguf(other, "m")
    with pytest.raises(TestbedError, match="it has version 9 of the format"):
        other.write_bytes(b"GGUF" + (9).to_bytes(4, "little") + bytes(64))
        read_gguf.__wrapped__(other, "m")
    with pytest.raises(TestbedError, match="there is no GGUF file"):
        read_gguf(tmp_path / "gone.gguf", "m")
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    with pytest.raises(TestbedError, match="there is no GGUF file"):
        read_gguf(pipe, "m")
