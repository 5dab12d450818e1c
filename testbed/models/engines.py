"""Engines that run models with weights: which are installed, and in which versions."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from testbed.errors import TestbedError
from testbed.models.llamacpp.library import INSTALL, PACKAGE, installed, library


@dataclass(frozen=True)
class Engine:
    """One engine on this machine."""

    name: str
    runs: str
    """Models that it runs."""
    version: str
    """Its version and device, or what is wrong with it."""
    advice: str = ""
    """Remedy, empty if it works."""


def engines() -> list[Engine]:
    """List the engines; torch is not loaded, llama.cpp's library is."""
    packages = (f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "torch"))
    return [
        Engine("transformers", "model folders, Hugging Face ids", ", ".join(packages)),
        _llama_cpp("llama.cpp", ".gguf files"),
    ]


def _llama_cpp(name: str, runs: str) -> Engine:
    if not installed():
        return Engine(name, runs, "not installed", INSTALL)
    try:
        gpu = library().llama_supports_gpu_offload()
    except TestbedError as error:
        said = str(error)
        remedy = max(said.rfind(": "), said.rfind("; "))
        return Engine(name, runs, said[:remedy], said[remedy + 2 :])
    version = importlib.metadata.version(PACKAGE)
    return Engine(name, runs, f"{PACKAGE} {version}, {'GPU' if gpu else 'CPU'}")
