"""The library is refused, in one sentence, unless it is the declared build."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from typing import Any

import pytest

from testbed.errors import TestbedError
from testbed.models.llamacpp import library
from testbed.models.llamacpp.declarations import DEFAULTS, FUNCTIONS


def load() -> Any:
    """Load the library again."""
    return library.library.__wrapped__()


def refused(words: str) -> Any:
    return pytest.raises(TestbedError, match=rf"^{words}.*(?<!\.)$")


OTHER = r"llama.cpp is not the build that is declared here "


def test_the_installed_build_is_the_declared_one() -> None:
    assert library.installed()
    assert load().llama_version() == b"0.6.0-dev"


def test_a_missing_package_comes_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not library.installed()
    with refused(
        r"GGUF files are run by llama.cpp, which is not installed: pip install .\[llama\]"
    ):
        load()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "2026.1.1")
    with refused(OTHER + r"\(xllamacpp 2026.1.1 is installed, and 2026.10.11549 is needed\): pip"):
        load()


def test_a_missing_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FUNCTIONS, "llama_no_such", (None, []))
    with refused(OTHER + r"\(.*undefined symbol: llama_no_such\): pip"):
        load()


def test_another_build_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(library._VERSIONS, "ggml_version", b"0.1")
    with refused(OTHER + r"\(ggml_version is b'0.26.0', not b'0.1'\): pip"):
        load()


def test_other_parameters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The structures travel by value: one field more shifts all others."""
    monkeypatch.setitem(DEFAULTS["llama_context_default_params"], "n_ctx", 513)
    with refused(OTHER + r"\(n_ctx of llama_context_default_params is 512, not 513\): pip"):
        load()


def test_a_processor_without_needed_instructions_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(library, "instruction_sets", lambda: "sse4_2 avx f16c fma")
    with refused("llama.cpp cannot run here: this processor lacks avx2; take a model directory"):
        load()
