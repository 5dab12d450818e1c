"""`testbed models`: which engines there are, and with which devices."""

from __future__ import annotations

import sys
from importlib.metadata import version
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from testbed import cli
from testbed.errors import TestbedError
from testbed.models import engines
from testbed.models.engines import Engine

GGUF = "llama.cpp", ".gguf files"


@pytest.mark.parametrize(("gpu", "device"), [(False, "CPU"), (True, "GPU")])
def test_engines_and_their_versions(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str
) -> None:
    library = SimpleNamespace(llama_supports_gpu_offload=lambda: gpu)
    monkeypatch.setattr(engines, "library", lambda: library)
    transformers, llama_cpp = engines.engines()
    assert transformers.version == (
        f"transformers {version('transformers')}, torch {version('torch')}"
    )
    assert llama_cpp == Engine(*GGUF, f"xllamacpp {version('xllamacpp')}, {device}")


@pytest.mark.parametrize(
    ("what", "mark", "remedy"),
    [
        ("llama.cpp cannot run here: this processor lacks avx2", "; ", "take a model directory"),
        ("llama.cpp is not the build (b'a': b'c')", ": ", "pip install .[llama]"),
    ],
)
def test_an_engine_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, what: str, mark: str, remedy: str
) -> None:
    monkeypatch.setattr(engines, "library", Mock(side_effect=TestbedError(what + mark + remedy)))
    assert engines.engines()[1] == Engine(*GGUF, what, remedy)


def test_an_engine_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "installed", lambda: False)
    assert engines.engines()[1] == Engine(*GGUF, "not installed", "pip install .[llama]")


def test_the_list_of_models_shows_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["testbed", "models"])
    monkeypatch.setattr(engines, "installed", lambda: False)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().out
    assert "not installed: pip install .[llama]" in said
    assert f"torch {version('torch')}" in said
