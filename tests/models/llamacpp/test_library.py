"""The library is refused, in one sentence, unless it is the declared build."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from pathlib import Path
from typing import Any
from unittest.mock import Mock

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


def test_a_folder_of_its_name_is_not_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with refused(OTHER + r"\(xllamacpp of no version is installed, and .* is needed\): pip"):
        load()


def test_a_package_without_its_extension_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Mock(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: found)
    with refused(OTHER + r"\(xllamacpp has 0 extensions, not one\): pip"):
        load()
    (tmp_path / "xllamacpp.abi3.so").write_text("no library")
    with refused(r"llama.cpp's library does not load \(.*abi3.so: .*\); install the library"):
        load()


def test_of_several_errors_the_first_is_the_reason() -> None:
    library.reason()
    for level, text in (
        (3, b"a warning\n"),
        (4, b"llama_model_load: error loading model: no room\n"),
        (5, b"."),
        (4, b"llama_model_load_from_file_impl: failed to load model\n"),
        (3, b"last: warned"),
    ):
        library._listen(level, text, None)
    assert library.reason() == "no room"
    assert library.reason() == "llama.cpp gives no reason"
    library._listen(3, b"find_slot: no slot", None)
    assert library.reason() == "no slot"


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
