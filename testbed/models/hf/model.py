"""Causal language models of the transformers library. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging
from typing_extensions import override

from testbed.errors import TestbedError, first_line
from testbed.models.base import Logits, ModelSession
from testbed.models.checks import check_extension, check_rollback
from testbed.models.devices import require_device
from testbed.models.file_model import FileModel
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
    "int8": torch.float32,  # of all but the matrices, and of the matrices while loading
}


class HuggingFaceModel(FileModel):
    """A model of a local directory with configuration, tokenizer and safetensors.

    `without_layers` are the indices of decoder layers to leave out. `device` is "cpu", "cuda",
    "cuda:N", or "auto" for the device map of transformers: all GPUs, and the CPU for the layers
    that they cannot hold. `threads` sets torch's thread count for the whole process. Passes over
    `operator_from` tokens or more use operators that only some processors have
    (testbed.models.cpu.operators); with None no pass does.
    Only in fp32 do passes over many tokens and over one agree closely enough for lossless decoding.
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
        if threads is not None:
            torch.set_num_threads(threads)
        super().__init__(name, ModelDirectory(Path(path), name))
        give_back()  # reading the tokenizer leaves tens of MB of freed memory
        network = load_network(Path(path), name, dtype, without_layers, device)
        self._embedded = int(network.get_input_embeddings().weight.shape[0])
        with torch.inference_mode():
            prove_rollback(TransformersBackend(network).forward, name, network.config.model_type)
        self.network = fastest_backend(network, name, dtype, device, operator_from)
        give_back()

    @override
    def session(self) -> HuggingFaceSession:
        return HuggingFaceSession(self)

    def forward(self, tokens: Sequence[int], cache: Any, keep: int) -> Logits:
        """Read `tokens` after those in `cache`, and add them to it.

        Returns the logits after each of the last `keep` tokens, [keep, V]; ids that the network
        has no logit for get -inf. Raises TestbedError when a token has no embedding in the network.
        """
        if max(tokens) >= self._embedded:
            raise TestbedError(
                f"model '{self.name}' was given token {max(tokens)}, which its tokenizer has and "
                f"its network lacks; the network allows 0 to {self._embedded - 1}"
            )
        with torch.inference_mode():
            all_logits = self.network.forward(torch.tensor(tokens), cache, keep)
            known: Logits = all_logits[:, : self.vocabulary_size].float().cpu().numpy()
        if known.shape[1] == self.vocabulary_size:
            return known
        logits = np.full((keep, self.vocabulary_size), -np.inf, np.float32)
        logits[:, : known.shape[1]] = known
        return logits


class HuggingFaceSession(ModelSession):
    """One token sequence in the key-value cache of a HuggingFaceModel."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self._model = model
        self._network = model.network
        self._cache = model.network.new_cache()

    @property
    @override
    def length(self) -> int:
        return self._network.length(self._cache)

    @override
    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        rows = check_extension(self._model, self.length, tokens, keep)
        return self._model.forward(tokens, self._cache, rows)

    @override
    def rollback(self, length: int) -> None:
        check_rollback(self.length, length)
        self._network.crop(self._cache, self.length - length)
        assert self.length == length


def load_network(
    path: Path, name: str, dtype: Dtype, without_layers: Sequence[int], device: Device
) -> Any:
    """Load the network of a local directory with transformers, without some of its layers.

    Raises TestbedError when the directory holds no usable causal model.
    """
    require_device(name, device, dtype, torch.cuda.device_count())
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    causal: Any = AutoModelForCausalLM  # its declared type lacks output_loading_info
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
            f"cannot load model '{name}' from {path} ({first_line(error)}); "
            "allowed are causal models of transformers in safetensors"
        ) from error
    if report["missing_keys"]:
        raise TestbedError(
            f"model '{name}' in {path} has no trained causal head: its files lack "
            f"{min(report['missing_keys'])}; allowed are causal language models"
        )
    require_all_read(report["unexpected_keys"], path, name)
    if without_layers:
        remove_layers(network, without_layers, name)
    trim_head(network, name)
    return network.eval()
