"""Causal language models in GGUF files, run by llama.cpp as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from testbed.errors import TestbedError
from testbed.host.cores import usable_cores
from testbed.models.base import Logits, ModelSession
from testbed.models.checks import check_extension, check_rollback
from testbed.models.file_model import FileModel
from testbed.models.llamacpp.cache import Cache, Weights
from testbed.models.llamacpp.library import library, refusal
from testbed.models.llamacpp.text import open_gguf
from testbed.models.spec import Device

_ALL_LAYERS = 1 << 20


class LlamaCppModel(FileModel):
    """A model in a GGUF file.

    Raises TestbedError when llama.cpp cannot run the file, or not on this device, and when the
    model's cache cannot be rolled back.
    """

    def __init__(
        self, path: Path, name: str, *, threads: int | None = None, device: Device = "cpu"
    ) -> None:
        super().__init__(name, open_gguf(str(path), name))
        lib = library()
        params = lib.llama_model_default_params()
        # Read rather than mapped: weights that are reordered are then held once.
        params.load_mode = 0
        params.n_gpu_layers = 0 if device == "cpu" else _ALL_LAYERS
        params.main_gpu = int(device.partition(":")[2] or 0)
        if device.startswith("cuda"):
            params.split_mode = 0  # one device
        if device != "cpu" and not lib.llama_supports_gpu_offload():
            raise TestbedError(
                f"model '{name}' is to run on {device}, and the installed build of llama.cpp is "
                "for the CPU; install xllamacpp for CUDA, or leave device out"
            )
        model = lib.llama_model_load_from_file(bytes(path), params)
        if not model:
            raise refusal(name, path)
        self._weights = Weights(model, name, threads or usable_cores())

    @override
    def session(self) -> LlamaCppSession:
        return LlamaCppSession(self, self._weights)


class LlamaCppSession(ModelSession):
    """One token sequence, with a cache of its own."""

    def __init__(self, model: LlamaCppModel, weights: Weights) -> None:
        self._model = model
        self._cache = Cache(weights)

    @property
    @override
    def length(self) -> int:
        return self._cache.length

    @override
    def extend(self, tokens: Sequence[int], keep: int | None = None) -> Logits:
        rows = check_extension(self._model, self.length, tokens, keep)
        return self._cache.read(tokens, rows)[:, : self._model.vocabulary_size]

    @override
    def rollback(self, length: int) -> None:
        check_rollback(self.length, length)
        self._cache.cut(length)
