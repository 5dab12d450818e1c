"""The part of llama.cpp's C interface that is used: include/llama.h of build b11549.

The two parameter structures travel by value and change from build to build, so their default
values are here, too, for testbed.models.llamacpp.library to compare.
"""

from __future__ import annotations

import ctypes as c
from typing import Any

_P, _I, _U, _S, _B, _Z = c.c_void_p, c.c_int32, c.c_uint32, c.c_char_p, c.c_bool, c.c_size_t
Ids = c.POINTER(_I)


class ModelParams(c.Structure):
    """llama_model_params."""

    _fields_ = [
        ("devices", _P),
        ("tensor_buft_overrides", _P),
        ("n_gpu_layers", _I),
        ("split_mode", _I),
        ("load_mode", _I),
        ("lazy_mode", _I),
        ("main_gpu", _I),
        ("tensor_split", _P),
        ("progress_callback", _P),
        ("progress_callback_user_data", _P),
        ("kv_overrides", _P),
        ("vocab_only", _B),
        ("check_tensors", _B),
        ("use_extra_bufts", _B),
        ("no_host", _B),
        ("no_alloc", _B),
        ("load_mtp", _B),
    ]


class ContextParams(c.Structure):
    """llama_context_params."""

    _fields_ = [
        ("n_ctx", _U),
        ("n_batch", _U),
        ("n_ubatch", _U),
        ("n_seq_max", _U),
        ("n_rs_seq", _U),
        ("n_outputs_max", _U),
        ("n_outputs_max_per_seq", _U),
        ("n_threads", _I),
        ("n_threads_batch", _I),
        ("ctx_type", _I),
        ("rope_scaling_type", _I),
        ("pooling_type", _I),
        ("attention_type", _I),
        ("flash_attn_type", _I),
        ("rope_freq_base", c.c_float),
        ("rope_freq_scale", c.c_float),
        ("yarn_ext_factor", c.c_float),
        ("yarn_attn_factor", c.c_float),
        ("yarn_beta_fast", c.c_float),
        ("yarn_beta_slow", c.c_float),
        ("yarn_orig_ctx", _U),
        ("defrag_thold", c.c_float),
        ("cb_eval", _P),
        ("cb_eval_user_data", _P),
        ("type_k", _I),
        ("type_v", _I),
        ("moe_cache_size", _Z),
        ("abort_callback", _P),
        ("abort_callback_data", _P),
        ("embeddings", _B),
        ("offload_kqv", _B),
        ("no_perf", _B),
        ("op_offload", _B),
        ("swa_full", _B),
        ("kv_unified", _B),
        ("samplers", _P),
        ("n_samplers", _Z),
        ("ctx_other", _P),
    ]


class Batch(c.Structure):
    """llama_batch: for each token its position, its sequence, and whether logits are wanted."""

    _fields_ = [
        ("n_tokens", _I),
        ("token", Ids),
        ("embd", c.POINTER(c.c_float)),
        ("pos", Ids),
        ("n_seq_id", Ids),
        ("seq_id", c.POINTER(Ids)),
        ("logits", c.POINTER(c.c_int8)),
    ]


LogCallback = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)

FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "ggml_version": (_S, []),
    "llama_backend_init": (None, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_decode": (_I, [_P, Batch]),
    "llama_free": (None, [_P]),
    "llama_get_logits": (c.POINTER(c.c_float), [_P]),
    "llama_get_memory": (_P, [_P]),
    "llama_init_from_model": (_P, [_P, ContextParams]),
    "llama_log_set": (None, [LogCallback, _P]),
    "llama_memory_seq_rm": (_B, [_P, _I, _I, _I]),
    "llama_model_default_params": (ModelParams, []),
    "llama_model_free": (None, [_P]),
    "llama_model_get_vocab": (_P, [_P]),
    "llama_model_has_encoder": (_B, [_P]),
    "llama_model_is_diffusion": (_B, [_P]),
    "llama_model_is_hybrid": (_B, [_P]),
    "llama_model_is_recurrent": (_B, [_P]),
    "llama_model_load_from_file": (_P, [_S, ModelParams]),
    "llama_model_n_swa": (_I, [_P]),
    "llama_state_get_data": (_Z, [_P, _P, _Z]),
    "llama_state_get_size": (_Z, [_P]),
    "llama_state_set_data": (_Z, [_P, _P, _Z]),
    "llama_supports_gpu_offload": (_B, []),
    "llama_token_to_piece": (_I, [_P, _I, _S, _I, _I, _B]),
    "llama_tokenize": (_I, [_P, _S, _I, Ids, _I, _B, _B]),
    "llama_version": (_S, []),
    "llama_vocab_bos": (_I, [_P]),
    "llama_vocab_eos": (_I, [_P]),
    "llama_vocab_is_eog": (_B, [_P, _I]),
    "llama_vocab_n_tokens": (_I, [_P]),
}
"""Result and arguments of each function."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "llama_model_default_params": {
        "n_gpu_layers": -1,
        "split_mode": 1,
        "load_mode": -1,
        "lazy_mode": 1,
        "use_extra_bufts": True,
    },
    "llama_context_default_params": {
        "n_ctx": 512,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "n_outputs_max_per_seq": 1,
        "n_threads": 4,
        "n_threads_batch": 4,
        "rope_scaling_type": -1,
        "pooling_type": -1,
        "attention_type": -1,
        "flash_attn_type": -1,
        "yarn_ext_factor": -1.0,
        "yarn_attn_factor": -1.0,
        "yarn_beta_fast": -1.0,
        "yarn_beta_slow": -1.0,
        "defrag_thold": -1.0,
        "type_k": 1,
        "type_v": 1,
        "offload_kqv": True,
        "no_perf": True,
        "op_offload": True,
        "swa_full": True,
    },
}
"""Default values of both structures; those that are not named are 0, or None."""
