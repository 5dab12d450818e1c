"""Runs whose models are GGUF files."""

from __future__ import annotations

import importlib.util
import json
import subprocess

import msgspec
import pytest

from testbed.errors import TestbedError
from testbed.experiment import preparation
from testbed.experiment.preparation import prepare
from testbed.models import trials
from testbed.models.llamacpp import library, text, trial
from testbed.models.spec import GgufSpec, HuggingFaceSpec
from testbed.models.store.gguf_export import export_gguf
from testbed.results.plan import read_plans
from testbed.scenario.load import check_scenario
from tests.models.tiny_llama_cpp import byte_level, network_of, save
from tests.support.whole_run import SYNTHETIC, results, run, write

BLOCKS = (
    "target '{name}': distributions after a block of tokens differ from those after single tokens "
    "(total variation 0.25 at the worst of a few positions, on this machine), and so may texts "
    "from its own"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a model directory, and a file of the same model."""
    folder = tmp_path_factory.mktemp("models")
    directory = save(network_of("llama"), byte_level(), folder / "model")
    file = folder / "tiny.gguf"
    export_gguf(HuggingFaceSpec(str(directory), "tiny"), file, "f16")
    return str(directory), str(file)


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trials, "_made", {})


def plan(target, draft, **changes):
    models = {"target": target, "draft": draft}
    base = {**SYNTHETIC, "methods": ["dsd"], "prompts": ["the rain"], "models": models}
    (point,) = check_scenario({**base, **changes}, "s.yaml").every_point()
    return prepare(point, "relay")


def measured(monkeypatch, tv):
    """Let each trial of a file find this difference."""

    def tried(spec):
        return msgspec.structs.replace(spec, block_tv=tv) if isinstance(spec, GgufSpec) else spec

    monkeypatch.setattr(preparation, "with_trial", tried)


@pytest.mark.parametrize(("tv", "warned"), [(0.25, True), (9e-6, False), (0.0, False)])
def test_a_plan_says_how_exactly_the_target_verifies(models, monkeypatch, tv, warned):
    _, file = models
    measured(monkeypatch, tv)
    made = plan(file, file)
    assert made.target == made.draft == GgufSpec(file, file, made.target.threads, block_tv=tv)
    assert made.target.threads
    assert made.warnings == ([BLOCKS.format(name=file)] if warned else [])
    assert len(made.end_tokens) == 2


def test_a_file_and_a_directory_are_a_pair(models, monkeypatch):
    directory, file = models
    measured(monkeypatch, 0.25)
    mixed = [plan(directory, file), plan(file, directory)]
    assert mixed[0].prompts == mixed[1].prompts
    assert [len(each.warnings) for each in mixed] == [0, 1]


def test_a_pair_whose_ids_differ_is_refused(models, tmp_path):
    other = save(network_of("llama"), byte_level(ids=290), tmp_path / "other")
    with pytest.raises(TestbedError, match=r"^s.yaml: models: draft .* but id 290 is .*$"):
        plan(str(other), models[1])


@pytest.mark.parametrize("known", [False, True])
def test_without_the_engine_it_says_what_to_install(models, monkeypatch, known):
    """Even if all that has to be known of the files is in the cache."""
    if known:
        done = subprocess.CompletedProcess([], 0, '{"block_tv": 0.25}', "")
        monkeypatch.setattr(trial, "run", lambda *_: done)
        assert plan(models[1], models[1]).target.block_tv == 0.25
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "xllamacpp" else find(name)
    )
    for each in (library.library, text.open_gguf):
        each.cache_clear()
    with pytest.raises(TestbedError) as caught:
        plan(models[1], models[1])
    assert str(caught.value) == (
        "s.yaml: models: GGUF files are run by llama.cpp, which is not installed: "
        "pip install .[llama]"
    )


@pytest.mark.emulation
def test_a_run_of_files(models, tmp_path):
    """All methods have one text at temperature 0, and the results say what ran them."""
    scenario = write(
        tmp_path,
        models={"target": models[1], "draft": models[1]},
        methods=["cloud_ar", "dsd", "gumbel"],
        prompts=["the rain"],
        chat=True,
        decoding={"temperature": 0, "max_new_tokens": 12, "ignore_eos": True},
    )
    run(scenario)
    found = results(scenario)
    rows = found.summary().rows
    assert [row.tokens for row in rows] == [12] * 3
    texts = [(found.run(row.method, 0) / "text.txt").read_text() for row in rows]
    (written,) = {
        each.split(f"--- {row.method}\n")[1] for each, row in zip(texts, rows, strict=True)
    }
    assert written.strip()
    (made,) = read_plans(found)
    assert made.target.block_tv is not None
    environment = json.loads((found.path / "environment.json").read_bytes())
    assert environment["engines"] == {"llama.cpp": f"{library.PACKAGE} {library.VERSION}"}
