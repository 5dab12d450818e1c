"""Refusal of quantised checkpoints, whose numbers must be scaled before they are weights.

There are many formats, and transformers loads some of them without an error: it takes integers or
8-bit floats as weights and ignores their scales. So the check allows only what is known to be safe:
every weight is a float of 16 bits or more, and the network uses every tensor.
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
"""Keys of quantisation in config.json, at any depth."""
_FILES = (
    "quantize_config.json", "quant_config.json", "quantization_config.json", "quanto_qmap.json",
    "quantization_map.json", "hf_quant_config.json",
)  # fmt: skip
"""Files beside config.json that AutoGPTQ, AutoAWQ, mlc, quanto and modelopt write."""
_PARTS = re.compile(
    r"(^|\.)(scales|_scale|weight_scale\w*|scale_weight|(input|output|act|[kv])_scale|"
    r"qweight|qzeros|g_idx|w_q|w_?packed|weight_packed|weight_zero_point|zero_point|weight_shape|"
    r"absmax|nested_absmax|quant_map|quant_state|scb|weight_format|_data|qdata|"
    r"bitsandbytes__\w+)$",
    re.IGNORECASE,
)
"""Names of tensors that accompany quantised weights, such as scales."""
_BUFFERS = re.compile(
    r"(^|\.)(position_ids|token_type_ids|num_batches_tracked|inv_freq|masked_bias|causal_mask|"
    r"(attn|attention|self_attn|self_attention)\.bias)$"
)
"""Names of positions, frequencies and masks: older files store them, networks compute them anew.
"""
_ADVICE = "take the model in bf16, fp16 or fp32, or a GGUF file of it"


def require_plain(path: Path, name: str) -> None:
    """Raise TestbedError when the model in the directory `path` is quantised."""
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
    """Raise TestbedError when `unread`, the tensors that a network did not load, hold weights."""
    used = sorted(tensor for tensor in unread if not _BUFFERS.search(tensor))
    if used:
        raise TestbedError(
            f"{path}: model '{name}' has tensors that its network does not read, such as "
            f"{used[0]}, so the loaded model would be another one; {_ADVICE}"
        )


def _config(path: Path) -> Any:
    """Read config.json; return an empty dict if it cannot be read, which is reported elsewhere."""
    try:
        return read(path / "config.json", dict[str, Any])
    except TestbedError:
        return {}


def _quantised_keys(config: Any) -> Iterator[str]:
    """Yield each entry on quantisation in a configuration, at any depth."""
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
