"""Causal language models of the transformers library, on the CPU. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.utils import logging

from testbed.errors import TestbedError
from testbed.models.base import Logits
from testbed.models.checks import check_extension, check_rollback
from testbed.models.layers import remove_layers
from testbed.models.spec import Dtype
from testbed.models.vocabulary import read_vocabulary

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class HuggingFaceModel:
    """A model directory (config, tokenizer, safetensors), without the layers `without_layers`.

    `threads` sets torch's thread count for the whole process. Only in fp32 do block-wise and
    token-wise reading agree closely enough for lossless decoding. Raises TestbedError when the
    directory holds no usable causal model.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        dtype: Dtype = "fp32",
        without_layers: Sequence[int] = (),
        threads: int | None = None,
    ) -> None:
        self.name = name
        if threads is not None:
            torch.set_num_threads(threads)
        vocabulary = read_vocabulary(Path(path))
        self._tokenizer, self._network = _load(Path(path), name, _DTYPES[dtype])
        if without_layers:
            remove_layers(self._network, without_layers, name)
        self._require_full_attention()
        self._vocabulary_id = vocabulary.fingerprint
        self._vocabulary_size = int(self._network.get_output_embeddings().weight.shape[0])
        self._context_length = int(self._network.config.max_position_embeddings)
        ends = self._network.generation_config.eos_token_id
        ends = self._tokenizer.eos_token_id if ends is None else ends
        self._end_tokens = frozenset(ends if isinstance(ends, list) else {ends} - {None})

    @property
    def vocabulary_size(self) -> int:
        """V: width of the logits."""
        return self._vocabulary_size

    @property
    def vocabulary_id(self) -> str:
        """See Vocabulary.fingerprint."""
        return self._vocabulary_id

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return self._context_length

    @property
    def end_tokens(self) -> frozenset[int]:
        """End-of-sequence ids of the generation configuration, else of the tokenizer."""
        return self._end_tokens

    def session(self) -> HuggingFaceSession:
        """Start an empty text."""
        return HuggingFaceSession(self)

    def encode(self, text: str) -> list[int]:
        """Token ids, with the start token where the model wants one."""
        return list(self._tokenizer.encode(text))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, special tokens spelt out."""
        return str(self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))

    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Pay the costs of first calls: read `tokens` at once, then `block` tokens, then one."""
        session = self.session()
        session.extend(tokens, keep=1)
        session.extend([tokens[-1]] * block)
        session.extend([tokens[-1]])

    def new_cache(self) -> DynamicCache:
        """An empty key-value cache."""
        return DynamicCache(config=self._network.config)

    def forward(self, tokens: Sequence[int], cache: DynamicCache, keep: int) -> Logits:
        """Read `tokens` after `cache`, which grows; returns the last `keep` logits, [keep, V]."""
        with torch.inference_mode():
            out = self._network(
                torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=keep
            )
            logits: Logits = out.logits[0].float().numpy()
        return logits

    def _require_full_attention(self) -> None:
        if any(type(layer) is not DynamicLayer for layer in self.new_cache().layers):
            raise TestbedError(
                f"Model '{self.name}' ({self._network.config.model_type}) has sliding-window or "
                "recurrent layers, whose cache cannot be rolled back; "
                "allowed are models with full attention in every layer."
            )


class HuggingFaceSession:
    """One text and its key-value cache."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self._model = model
        self._cache = model.new_cache()

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return int(self._cache.get_seq_length())

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        """See ModelSession.extend."""
        rows = check_extension(self._model, self.length, tokens, keep)
        return self._model.forward(tokens, self._cache, rows)

    def rollback(self, length: int) -> None:
        """See ModelSession.rollback."""
        surplus = self.length - length
        check_rollback(self.length, length)
        if surplus:  # crop(0) once emptied the cache, and crop to a length raises since 5.20
            self._cache.crop(-surplus)
        assert self.length == length


def _load(path: Path, name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The tokenizer and the network in a local directory."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    causal: Any = AutoModelForCausalLM  # its declared type forgets output_loading_info
    try:
        network, report = causal.from_pretrained(
            path,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # each architecture's reader fails in its own way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TestbedError(
            f"Cannot load model '{name}' from {path} ({reason}); "
            "allowed are causal models of transformers in safetensors."
        ) from error
    declared = network.config.architectures or []
    if type(network).__name__ not in declared or report["missing_keys"]:
        raise TestbedError(
            f"Model '{name}' in {path} ({', '.join(declared) or 'no architecture'}) has no trained "
            "causal head; allowed are causal language models."
        )
    return tokenizer, network.eval()
