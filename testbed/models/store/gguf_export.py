"""Export of a Llama of transformers to one GGUF file, with its tokenizer.

A draft that proposes only the first ids (testbed.models.hf.draft_head) has a whole head in the
file, as llama.cpp knows no shorter one: the embedding, which is the head as well, has all rows.
Importing this loads torch.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize
from numpy.typing import NDArray
from safetensors import safe_open
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from testbed.errors import TestbedError
from testbed.host.machine_errors import naming
from testbed.models.hf.directory import ModelDirectory
from testbed.models.llamacpp.library import library
from testbed.models.packed_draft import PROPOSED
from testbed.models.safetensors_headers import weight_files
from testbed.models.spec import FileSpec, GgufSpec, GgufType
from testbed.models.store.gguf_tokenizer import GgufTokenizer

_ALIGNMENT = 32
"""Bytes; each tensor begins at a multiple."""
_FILE_TYPES: dict[GgufType, tuple[LlamaFileType, GGMLQuantizationType]] = {
    "f32": (LlamaFileType.ALL_F32, GGMLQuantizationType.F32),
    "f16": (LlamaFileType.MOSTLY_F16, GGMLQuantizationType.F16),
    "q8_0": (LlamaFileType.MOSTLY_Q8_0, GGMLQuantizationType.Q8_0),
    "q4_0": (LlamaFileType.MOSTLY_Q4_0, GGMLQuantizationType.Q4_0),
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_OF_A_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_PLAIN = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""The values that llama.cpp takes for granted."""
_ROTATIONS = "default", "linear", "llama3"
"""Kinds of rotary positions that multiply each frequency by a number, at all lengths."""


@dataclass(frozen=True)
class _Source:
    """Tensor of the model that becomes one of the file."""

    name: str
    shape: tuple[int, ...]
    heads: int | None = None
    """Heads whose rows are interleaved: llama.cpp rotates neighbours, transformers halves."""


def export_gguf(spec: FileSpec, file: Path, kind: GgufType) -> list[str]:
    """Write the model that `spec` describes to `file`, its matrices in the type `kind`.

    Norms are float32; in q4_0 the embedding and the head are q8_0, as llama.cpp's own tool does it.
    Returns what differs from the model as it was, one sentence each. The file is there only if it
    is whole and llama.cpp encodes some hundred texts in it as transformers does. Raises
    TestbedError when the model is of another kind, its tokenizer cannot be carried exactly, or
    there is such a file; OSError when it cannot be written.
    """
    name = spec.name
    if isinstance(spec, GgufSpec):
        raise TestbedError(f"model '{name}' is a GGUF file already; copy it")
    _check_place(file)
    library()  # needed in the end
    path = Path(spec.path)
    directory = ModelDirectory(path, name)
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    _check_config(config, name)
    tokenizer = GgufTokenizer(path, directory, int(config.vocab_size))
    with (
        naming(file),
        tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder,
    ):
        written = Path(folder) / file.name
        _Export(path, name, config, kind).write(written, tokenizer, directory.context_length)
        notes = tokenizer.check(written)
        written.replace(file)
    proposed = getattr(config, PROPOSED, None)
    if proposed is not None:
        notes.append(
            f"its head has all {config.vocab_size:,} rows there, so it proposes all ids, not only "
            f"the first {proposed:,}"
        )
    return notes


def _check_place(file: Path) -> None:
    if file.suffix.lower() != ".gguf":
        raise TestbedError(f"{file}: the file's name must end with .gguf")
    if file.exists() or file.is_symlink():
        raise TestbedError(f"{file}: there is such a file; remove it, or name another")
    if not file.parent.is_dir():
        raise TestbedError(f"{file}: there is no folder {file.parent}; make it first")


def _check_config(config: Any, name: str) -> None:
    if config.model_type != "llama":
        raise TestbedError(
            f"model '{name}' is of the family {config.model_type}; only Llamas are exported, for "
            "others use convert_hf_to_gguf.py of llama.cpp"
        )
    rotation = config.rope_parameters.get("rope_type", "default")
    wrong = [f"{key} {getattr(config, key)!r}" for key, value in _PLAIN.items()
             if getattr(config, key, value) != value]  # fmt: skip
    if rotation not in _ROTATIONS:
        wrong.append(f"rope_type {rotation!r}")
    if wrong:
        raise TestbedError(
            f"model '{name}' has {wrong[0]} in config.json, which is not exported; use "
            "convert_hf_to_gguf.py of llama.cpp"
        )


class _Export:
    """One model on its way into a file."""

    def __init__(self, path: Path, name: str, config: Any, kind: GgufType) -> None:
        self._path, self._name, self._config, self._kind = path, name, config, kind
        self._head_size = config.head_dim or config.hidden_size // config.num_attention_heads
        self._sources = self._expected()
        self._files = self._locate()
        self._factors = self._rope_factors()

    def write(self, file: Path, tokenizer: GgufTokenizer, context_length: int) -> None:
        """Write the whole file: header, tokenizer, tensors."""
        writer = GGUFWriter(file, "llama")
        self._add_values(writer, context_length)
        tokenizer.add_to(writer)
        for tensor, source in self._sources.items():
            self._announce(writer, tensor, source.shape, self._type(tensor, source.shape))
        if self._factors is not None:
            float32 = GGMLQuantizationType.F32
            self._announce(writer, "rope_freqs.weight", self._factors.shape, float32)
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        finally:
            writer.close()
        with file.open("ab") as content:  # gguf's own writing names no reason if it fails
            for data in self._data():
                _align(content)
                content.write(data)
            _align(content)

    def _expected(self) -> dict[str, _Source]:
        """Return the tensors of the file."""
        config = self._config
        width, inner, head = config.hidden_size, config.intermediate_size, self._head_size
        queries, keys = config.num_attention_heads, config.num_key_value_heads
        shapes: dict[str, tuple[int, ...]] = {
            "attn_norm": (width,), "ffn_norm": (width,), "output_norm": (width,),
            "attn_q": (queries * head, width), "attn_output": (width, queries * head),
            "attn_k": (keys * head, width), "attn_v": (keys * head, width),
            "ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner),
            "token_embd": (config.vocab_size, width), "output": (config.vocab_size, width),
        }  # fmt: skip
        heads = {"attn_q": queries, "attn_k": keys}
        found = {
            f"{to}.weight": _Source(f"{name}.weight", shapes[to])
            for name, to in _WHOLE.items()
            if not (to == "output" and config.tie_word_embeddings)
        }
        for layer in range(config.num_hidden_layers):
            for name, to in _OF_A_LAYER.items():
                found[f"blk.{layer}.{to}.weight"] = _Source(
                    f"model.layers.{layer}.{name}.weight", shapes[to], heads.get(to)
                )
        return found

    def _locate(self) -> dict[str, Path]:
        """Return the weight file of each tensor of the model."""
        found = dict[str, Path]()
        for path in weight_files(self._path, self._name):
            with safe_open(path, "pt") as file:
                found.update(dict.fromkeys(file.keys(), path))
        for source in self._sources.values():
            if source.name not in found:
                raise TestbedError(
                    f"model '{self._name}' lacks the tensor {source.name} in {self._path}; fetch "
                    "the model again"
                )
        ignored = {"lm_head.weight", *(source.name for source in self._sources.values())}
        for name in found:
            if name not in ignored and not name.endswith(".rotary_emb.inv_freq"):
                raise TestbedError(
                    f"model '{self._name}' has the tensor {name} in {self._path}, which a Llama "
                    "does not have; it is not exported"
                )
        return found

    def _rope_factors(self) -> NDArray[np.float32] | None:
        """Return the divisors of the rotary frequencies; None if there are none."""
        rope = self._config.rope_parameters
        kind = rope.get("rope_type", "default")
        if kind == "default":
            return None
        scaled, _ = ROPE_INIT_FUNCTIONS[kind](self._config, "cpu")
        exponents = torch.arange(0, self._head_size, 2, dtype=torch.float32) / self._head_size
        plain = rope["rope_theta"] ** -exponents
        return np.asarray((plain / scaled).numpy(), np.float32)

    def _add_values(self, writer: GGUFWriter, context_length: int) -> None:
        config = self._config
        writer.add_type("model")
        writer.add_name(self._name)
        writer.add_file_type(_FILE_TYPES[self._kind][0])
        writer.add_quantization_version(2)
        writer.add_context_length(context_length)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_vocab_size(config.vocab_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_key_length(self._head_size)
        writer.add_value_length(self._head_size)
        writer.add_rope_dimension_count(self._head_size)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)

    def _announce(
        self,
        writer: GGUFWriter,
        tensor: str,
        shape: tuple[int, ...],
        kind: GGMLQuantizationType,
    ) -> None:
        block, stored = GGML_QUANT_SIZES[kind]
        if shape[-1] % block:
            raise TestbedError(
                f"model '{self._name}' has {shape[-1]} columns in {tensor}, and {kind.name} rounds "
                f"blocks of {block}; take f16 or f32"
            )
        columns = shape[-1] // block * stored
        as_bytes = kind not in (GGMLQuantizationType.F32, GGMLQuantizationType.F16)
        writer.add_tensor_info(
            tensor,
            (*shape[:-1], columns) if as_bytes else shape,
            np.dtype(np.uint8 if as_bytes else np.float32),
            int(np.prod(shape[:-1])) * columns,
            kind,
        )

    def _type(self, tensor: str, shape: tuple[int, ...]) -> GGMLQuantizationType:
        if len(shape) == 1:
            return GGMLQuantizationType.F32
        kind = _FILE_TYPES[self._kind][1]
        outer = tensor.startswith(("token_embd", "output"))
        return GGMLQuantizationType.Q8_0 if outer and self._kind == "q4_0" else kind

    def _data(self) -> Iterator[bytes | memoryview]:
        """Yield the content of each tensor, in the order in which they were announced."""
        for tensor, source in self._sources.items():
            values = self._read(source)
            yield np.ascontiguousarray(quantize(values, self._type(tensor, source.shape))).data
        if self._factors is not None:
            yield self._factors.data

    def _read(self, source: _Source) -> NDArray[np.float32]:
        with safe_open(self._files[source.name], "pt") as file:
            values: NDArray[np.float32] = file.get_tensor(source.name).float().numpy()
        if values.shape != source.shape:
            raise TestbedError(
                f"model '{self._name}': tensor {source.name} has shape {values.shape}, and "
                f"config.json makes it {source.shape}; fetch the model again"
            )
        most = np.finfo(np.float32 if self._kind == "f32" else np.float16).max
        if not np.abs(values).max() <= most:
            raise TestbedError(
                f"model '{self._name}': tensor {source.name} has numbers beyond {most:.4g}, the "
                f"largest of {self._kind}; take f32 if they are finite"
            )
        if source.heads is None:
            return values
        rows, columns = values.shape
        halves = values.reshape(source.heads, 2, rows // source.heads // 2, columns)
        return halves.swapaxes(1, 2).reshape(rows, columns)


def _align(content: BinaryIO) -> None:
    content.write(bytes(-content.tell() % _ALIGNMENT))
