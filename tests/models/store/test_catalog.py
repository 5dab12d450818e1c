from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.models.spec import GgufSpec
from testbed.models.store import catalog, hub
from testbed.models.store.catalog import DEFAULT_DRAFT, describe, place_model, resolve
from testbed.models.store.fetch import DEFAULT_MODEL, default_path
from testbed.models.store.paper_pairs import NOTES, PAPER_PAIRS
from tests.models.tiny_gguf import write


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("alias", [DEFAULT_MODEL, DEFAULT_DRAFT])
def test_missing_default_says_how_to_get_it(alias: str) -> None:
    with pytest.raises(
        TestbedError, match=f"^model '{alias}' is not in .*; run: testbed models fetch$"
    ):
        resolve(alias)
    assert {known.name: known.ready for known in describe()}[alias] is False


def test_default_draft_is_built_from_the_default_target(monkeypatch: pytest.MonkeyPatch) -> None:
    default_path().mkdir(parents=True)
    (default_path() / "model.safetensors").touch()
    built = default_path().parent / "built"

    def build(name: str, target: Path) -> Path:
        assert (name, target) == (DEFAULT_DRAFT, default_path())
        built.mkdir()
        (built / "model.safetensors").touch()
        return built

    monkeypatch.setattr(catalog, "shipped_draft", build)
    target, draft = resolve(DEFAULT_MODEL), resolve(DEFAULT_DRAFT)
    assert (target.path, target.name) == (str(default_path()), DEFAULT_MODEL)
    assert (draft.path, draft.name) == (str(built), DEFAULT_DRAFT)
    assert all(known.ready for known in describe())


def test_local_directory(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(TestbedError, match=r"no model\.safetensors in .* run code"):
        resolve(str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    assert resolve(str(tmp_path)).path == str(tmp_path)


def test_unknown_names_list_what_is_allowed() -> None:
    for reference in ("nonsense", "./no/such/folder", "a/b/c"):
        with pytest.raises(TestbedError, match=f"no model '{reference}'; .*{DEFAULT_DRAFT}"):
            resolve(reference)
    with pytest.raises(TestbedError, match=r"no GGUF file .*missing\.gguf"):
        resolve("missing.gguf")


@pytest.mark.parametrize("name", ["x.gguf", "X.GGUF", "sub/Model.Gguf"])
def test_a_gguf_file_is_one_however_its_suffix_is_written(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write(tmp_path / name)
    spec = resolve(name, tmp_path)
    assert spec == GgufSpec(path=str(tmp_path / name), name=name)
    assert place_model(name, lambda path: f"/there/{path}") == f"/there/{name}"


def test_what_is_no_name_is_seen_from_the_scenarios_folder(tmp_path, monkeypatch):
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("HOME", "/home/me")

    def placed(reference: str) -> str:
        return place_model(reference, lambda path: str(tmp_path / path))

    assert placed("org/name") == f"{tmp_path}/org/name"
    assert placed("mine") == f"{tmp_path}/mine"
    assert placed("./not/there") == f"{tmp_path}/not/there"
    assert placed("typo") == f"{tmp_path}/typo"
    assert placed("~/models/x") == "/home/me/models/x"
    assert placed("~nobody-of-that-name/x") == f"{tmp_path}/~nobody-of-that-name/x"
    for name in (DEFAULT_MODEL, DEFAULT_DRAFT, "other/name", "other/name@main"):
        assert placed(name) == name


def test_a_folder_of_the_caller_is_not_taken_for_a_scenarios_model(tmp_path, monkeypatch):
    (tmp_path / "cwd" / "org" / "name").mkdir(parents=True)
    (tmp_path / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(hub, "download", lambda reference: tmp_path)
    assert resolve("org/name", tmp_path).path == str(tmp_path)
    with pytest.raises(TestbedError, match=r"no model\.safetensors in .*cwd/org/name"):
        resolve("org/name")  # by hand


def test_ids_are_downloaded_from_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    downloaded = []

    def download(reference: str) -> Path:
        downloaded.append(reference)
        return tmp_path

    monkeypatch.setattr(hub, "download", download)
    for reference in ("org/name-1.5", "facebook/opt-125m@refs/pr/9"):
        spec = resolve(reference)
        assert (spec.name, spec.path) == (reference, str(tmp_path))
    assert downloaded == ["org/name-1.5", "facebook/opt-125m@refs/pr/9"]


def test_the_papers_pairs_can_be_named_in_a_scenario(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(hub, "download", lambda reference: tmp_path)
    for pair in PAPER_PAIRS:
        assert pair.draft.weights < pair.target.weights
        for model in (pair.draft, pair.target):
            assert resolve(model.id).name == model.id
            assert model.memory(2) * 0.99 < model.download < model.memory(4) * 1.1
            assert model.note in {"", *NOTES}
    assert {pair.target.note for pair in PAPER_PAIRS} == {"", *NOTES}
