"""Causal language models of the transformers library. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from testbed.errors import TestbedError, first_line
from testbed.models.base import Logits
from testbed.models.checks import check_extension, check_rollback
from testbed.models.devices import require_device
from testbed.models.hf.backends import TransformersBackend, fastest_backend
from testbed.models.hf.directory import ModelDirectory
from testbed.models.hf.draft_head import trim_head
from testbed.models.hf.layers import remove_layers
from testbed.models.hf.quantised import require_all_read
from testbed.models.hf.rollback import prove_rollback
from testbed.models.memory import give_back
from testbed.models.spec import Device, Dtype

_DTYPES: dict[Dtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.float32,  # all but the matrices, and these when they are read
}


class HuggingFaceModel:
    """A model directory (config, tokenizer, safetensors), without the layers `without_layers`.

    `device` is "cpu", "cuda", "cuda:N", or "auto" for transformers' own device map: all GPUs, and
    the CPU for what they cannot hold. `threads` sets torch's thread count for the whole process.
    Passes over `operator_from` tokens and more use operators that not every processor has, see
    testbed.models.cpu.operators; by default none does.
    Only in fp32 do block-wise and token-wise reading agree closely enough for lossless decoding.
    Raises TestbedError when the directory holds no usable causal model.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        dtype: Dtype = "fp32",
        without_layers: Sequence[int] = (),
        threads: int | None = None,
        device: Device = "cpu",
        operator_from: int | None = None,
    ) -> None:
        self.name = name
        if threads is not None:
            torch.set_num_threads(threads)
        self._directory = ModelDirectory(Path(path), name)
        vocabulary = self._directory.vocabulary
        self._vocabulary_size, self._vocabulary_id = vocabulary.size, vocabulary.fingerprint
        give_back()  # the tables of tokens leave tens of MB
        network = load_network(Path(path), name, dtype, without_layers, device)
        self._embedded = int(network.get_input_embeddings().weight.shape[0])
        with torch.inference_mode():
            prove_rollback(TransformersBackend(network).forward, name, network.config.model_type)
        self.network = fastest_backend(network, name, dtype, device, operator_from)
        give_back()

    @property
    def vocabulary_size(self) -> int:
        """V: the ids that the tokenizer has. Padding of the logits is cut off."""
        return self._vocabulary_size

    @property
    def vocabulary_id(self) -> str:
        """See Vocabulary.fingerprint."""
        return self._vocabulary_id

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return self._directory.context_length

    @property
    def end_tokens(self) -> frozenset[int]:
        """End-of-sequence ids of the generation configuration, else of the tokenizer."""
        return self._directory.end_tokens

    def session(self) -> HuggingFaceSession:
        """Start an empty text."""
        return HuggingFaceSession(self)

    def encode(self, text: str) -> list[int]:
        """Token ids, with the start token where the model wants one."""
        return self._directory.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, special tokens spelt out."""
        return self._directory.decode(tokens)

    def warm_up(self, tokens: Sequence[int], block: int) -> None:
        """Pay the costs of first calls: read `tokens` at once, then `block` tokens, then one."""
        session = self.session()
        session.extend(tokens, keep=1)
        session.extend([tokens[-1]] * block)
        session.extend([tokens[-1]])

    def forward(self, tokens: Sequence[int], cache: Any, keep: int) -> Logits:
        """Read `tokens` after `cache`, which grows; returns the last `keep` logits, [keep, V].

        Raises TestbedError when the tokenizer has an id that the network lacks. Logits that the
        network lacks are -inf: it never says what it cannot read.
        """
        if max(tokens) >= self._embedded:
            raise TestbedError(
                f"Model '{self.name}' was given token {max(tokens)}, which its tokenizer has and "
                f"its network lacks; that allows 0 to {self._embedded - 1}."
            )
        with torch.inference_mode():
            all_logits = self.network.forward(torch.tensor(tokens), cache, keep)
            known: Logits = all_logits[:, : self._vocabulary_size].float().cpu().numpy()
        if known.shape[1] == self._vocabulary_size:
            return known
        logits = np.full((keep, self._vocabulary_size), -np.inf, np.float32)
        logits[:, : known.shape[1]] = known
        return logits


class HuggingFaceSession:
    """One text and its key-value cache."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self._model = model
        self._network = model.network
        self._cache = model.network.new_cache()

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self._network.length(self._cache)

    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        """See ModelSession.extend."""
        rows = check_extension(self._model, self.length, tokens, keep)
        return self._model.forward(tokens, self._cache, rows)

    def rollback(self, length: int) -> None:
        """See ModelSession.rollback."""
        check_rollback(self.length, length)
        self._network.cut(self._cache, self.length - length)
        assert self.length == length


def load_network(
    path: Path, name: str, dtype: Dtype, without_layers: Sequence[int], device: Device
) -> Any:
    """The network in a local directory, without some layers, as transformers runs it.

    Raises TestbedError when there is no usable one.
    """
    require_device(name, device, dtype, torch.cuda.device_count())
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    causal: Any = AutoModelForCausalLM  # its declared type forgets output_loading_info
    try:
        network, report = causal.from_pretrained(
            path,
            dtype=_DTYPES[dtype],
            device_map="auto" if device == "auto" else {"": device},
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # each architecture's reader fails in its own way
        raise TestbedError(
            f"Cannot load model '{name}' from {path} ({first_line(error)}); "
            "allowed are causal models of transformers in safetensors."
        ) from error
    if report["missing_keys"]:
        raise TestbedError(
            f"Model '{name}' in {path} has no trained causal head: its files lack "
            f"{min(report['missing_keys'])}; allowed are causal language models."
        )
    require_all_read(report["unexpected_keys"], path, name)
    if without_layers:
        remove_layers(network, without_layers, name)
    trim_head(network, name)
    return network.eval()
