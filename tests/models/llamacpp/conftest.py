"""Models in llama.cpp that the tests share, one of each family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from testbed.models.llamacpp.model import LlamaCppModel
from testbed.models.spec import HuggingFaceSpec
from testbed.models.store.gguf_export import export_gguf
from tests.models.tiny_llama_cpp import byte_level, network_of, save, write_family


@dataclass(frozen=True)
class Tiny:
    """A random network in a GGUF file of float32 weights."""

    file: Path
    folder: Path
    """Model directory that it was exported from, if it is a Llama."""
    network: Any
    model: LlamaCppModel

    def reference(self, text: Sequence[int]) -> NDArray[np.float32]:
        """Return the logits after each token, by transformers and without a cache."""
        with torch.inference_mode():
            logits = self.network(torch.tensor([text]), use_cache=False).logits[0]
        return np.asarray(logits[:, : self.model.vocabulary_size].numpy())


Load = Callable[[str], Tiny]


@pytest.fixture(scope="package")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Return the model of a family: llama, qwen2, gemma3."""

    @cache
    def of(family: str) -> Tiny:
        folder = tmp_path_factory.mktemp(family)
        network, file = network_of(family), folder / "tiny.gguf"
        if family == "llama":
            save(network, byte_level(start=True), folder)
            export_gguf(HuggingFaceSpec(str(folder), "tiny"), file, "f32")
        else:
            file = write_family(network, byte_level(), folder, family)
        return Tiny(file, folder, network, LlamaCppModel(file, "tiny", threads=1))

    return of


@pytest.fixture(scope="package")
def llama(load: Load) -> Tiny:
    return load("llama")
