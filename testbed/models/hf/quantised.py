"""Checkpoints whose numbers are not weights, but what weights are computed of: refused.

There are more forms of them than anybody reads, and transformers loads some without a word: it
takes integers or 8-bit floats for weights and leaves their scales out. So the rule goes by what is
known: a weight is a float of 16 bits or more, and every tensor has a use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.files.stored_json import read
from testbed.models.safetensors_headers import tensor_types

_FLOATS = {"F64", "F32", "F16", "BF16"}
_KEYS = {
    "quantization", "quantization_config", "quantize_config", "quant_config", "quant_method",
    "compression_config",
}  # fmt: skip
"""Of config.json, at any depth."""
_FILES = (
    "quantize_config.json", "quant_config.json", "quantization_config.json", "quanto_qmap.json",
    "quantization_map.json", "hf_quant_config.json",
)  # fmt: skip
"""Beside config.json: of AutoGPTQ, AutoAWQ, mlc, quanto and modelopt."""
_PARTS = re.compile(
    r"(^|\.)(scales|_scale|weight_scale\w*|scale_weight|(input|output|act|[kv])_scale|"
    r"qweight|qzeros|g_idx|w_q|w_?packed|weight_packed|weight_zero_point|zero_point|weight_shape|"
    r"absmax|nested_absmax|quant_map|quant_state|scb|weight_format|_data|qdata|"
    r"bitsandbytes__\w+)$",
    re.IGNORECASE,
)
"""Names of what stands beside quantised numbers."""
_BUFFERS = re.compile(
    r"(^|\.)(position_ids|token_type_ids|num_batches_tracked|inv_freq|masked_bias|causal_mask|"
    r"(attn|attention|self_attn|self_attention)\.bias)$"
)
"""Names of what networks compute anew, and older ones kept: positions, frequencies and masks."""
_ADVICE = "take the model in bf16, fp16 or fp32, or a GGUF file of it"


def require_plain(path: Path, name: str) -> None:
    """Raise TestbedError when the model in a directory is quantised."""
    where = f"{path}: model '{name}' is quantised"
    if found := next(_quantised_keys(_config(path)), None):
        raise TestbedError(f"{where} by its config.json ({found}), which is not read; {_ADVICE}")
    if found := next((file for file in _FILES if (path / file).exists()), None):
        raise TestbedError(f"{where} by its {found}, which is not read; {_ADVICE}")
    for tensor, kind in sorted(tensor_types(path, name).items()):
        if _BUFFERS.search(tensor):
            continue
        if _PARTS.search(tensor):
            raise TestbedError(f"{where}: it has {tensor}, which is not read; {_ADVICE}")
        if kind not in _FLOATS:
            raise TestbedError(f"{where}: its {tensor} is of type {kind}, not float; {_ADVICE}")


def require_all_read(unread: Iterable[str], path: Path, name: str) -> None:
    """Raise TestbedError when some of these tensors, which a network did not take, had a use."""
    used = sorted(tensor for tensor in unread if not _BUFFERS.search(tensor))
    if used:
        raise TestbedError(
            f"{path}: model '{name}' has tensors that its network does not read, such as "
            f"{used[0]}, so that it would be another model; {_ADVICE}"
        )


def is_scale(tensor: str) -> bool:
    """Return True for the name of what stands beside quantised numbers, in a GGUF file, too."""
    return tensor.endswith(".scale") or bool(_PARTS.search(tensor))


def _config(path: Path) -> Any:
    """config.json; nothing where it cannot be read, which others say."""
    try:
        return read(path / "config.json", dict[str, Any])
    except TestbedError:
        return {}


def _quantised_keys(config: Any) -> Iterator[str]:
    """Each entry of a configuration on quantisation, at any depth."""
    if isinstance(config, list):
        for each in config:
            yield from _quantised_keys(each)
    elif isinstance(config, dict):
        for key, value in config.items():
            if key in _KEYS and value not in (None, {}, "", False):
                method = value.get("quant_method") if isinstance(value, dict) else value
                yield f"{key}: {method}" if isinstance(method, str) else key
            else:
                yield from _quantised_keys(value)
