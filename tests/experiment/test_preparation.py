"""Checks of models and prompts by `testbed run` before anything starts."""

from __future__ import annotations

import json

import msgspec
import pytest

from testbed.config.yaml_loader import dump_yaml
from testbed.errors import TestbedError
from testbed.experiment import preparation
from testbed.experiment.preparation import prepare
from testbed.models import memory
from testbed.models.spec import OperatorChoice, SyntheticSpec
from testbed.models.synthetic import SyntheticModel
from testbed.scenario.load import check_scenario, load_scenario
from tests.models.tiny import FAMILIES, IDS, save
from tests.support.whole_run import SYNTHETIC

CHOICE = OperatorChoice(None, "plain layers", "this machine")
TEMPLATE = "{% for m in messages %}w7 {{ m.content }} {% endfor %}w9"


@pytest.fixture
def models(tmp_path):
    """Save a target with start token w1, end tokens w3 and w4, and a template; a plain draft."""
    target = save(FAMILIES["opt"](), tmp_path / "target", start=True, template=TEMPLATE)
    (target / "generation_config.json").write_text(json.dumps({"eos_token_id": [4, 3]}))
    draft = save(FAMILIES["llama"](), tmp_path / "draft")
    return {"target": str(target), "draft": str(draft)}


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """Specs for which operators were chosen, instead of trials."""
    specs = []

    def choose(spec):
        if isinstance(spec, SyntheticSpec):
            return spec
        specs.append(spec)
        return msgspec.structs.replace(spec, operators=CHOICE)

    monkeypatch.setattr(preparation, "with_trial", choose)
    return specs


def plan(by="relay", **changes):
    base = {**SYNTHETIC, "methods": ["dsd"], "prompts": ["w5 w6"]}
    scenario = check_scenario({**base, **changes}, "s.yaml")
    (point,) = scenario.every_point()
    return prepare(point, by)


def refusal(**changes) -> str:
    with pytest.raises(TestbedError) as caught:
        plan(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_target_decides_how_texts_begin_and_end(models):
    made = plan(models=models)
    assert made.prompts == ["1 5 6"]
    assert made.end_tokens == [3, 4]
    assert (made.target.path, made.draft.path) == (models["target"], models["draft"])
    assert made.warnings == []


def test_a_simulated_run_has_no_captures_and_a_warning_says_so():
    for capture, warnings in (
        (False, []),
        (True, ["frames are not captured, so that there is no ledger of their bytes: a simulated "
                "network has none"]),
    ):  # fmt: skip
        scenario = check_scenario({**SYNTHETIC, "capture": capture}, "s.yaml")
        made = prepare(scenario.every_point()[0], "simulated")
        assert (made.backend, made.capture, made.warnings) == ("simulated", False, warnings)


def test_model_folders_are_seen_from_the_scenario(models, tmp_path, monkeypatch):
    assert models == {role: f"{tmp_path}/{role}" for role in ("target", "draft")}
    path = tmp_path / "s.yaml"
    draft = {"model": "../" + tmp_path.name + "/draft", "dtype": "bf16"}
    there = {**SYNTHETIC, "methods": ["dsd"], "prompts": ["w5 w6"]}
    path.write_text(dump_yaml({**there, "models": {"target": "target", "draft": draft}}))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scenario = load_scenario(path)
    made = prepare(scenario.every_point()[0], "relay")
    assert (made.target.path, made.draft.path) == (models["target"], models["draft"])
    written = scenario.to_mapping()["models"]  # as it is read from the results
    assert written["target"] == f"{tmp_path}/target"
    again = prepare(check_scenario(scenario.to_mapping(), "/r/s.yaml").every_point()[0], "relay")
    assert (again.target, again.draft) == (made.target, made.draft)


def test_what_models_multiply_by_is_chosen_for_those_that_are_used(models, chosen):
    made = plan(models=models)
    assert (made.target.operators, made.draft.operators) == (CHOICE, CHOICE)
    assert [spec.path for spec in chosen] == [models["target"], models["draft"]]
    made = plan(models=models, methods=["device_only"])
    assert (made.target.operators, made.draft.operators) == (None, CHOICE)


def test_a_trial_that_fails_is_told_in_terms_of_the_scenario(models, monkeypatch):
    def fail(spec):
        raise TestbedError("it cannot be loaded")

    monkeypatch.setattr(preparation, "with_trial", fail)
    assert refusal(models=models) == "s.yaml: models: it cannot be loaded"


def test_texts_that_are_not_to_end_have_no_end_tokens(models):
    assert plan(models=models, decoding={"ignore_eos": True}).end_tokens == []


def test_chat_wraps_prompts_in_the_targets_template(models):
    assert plan(models=models, chat=True).prompts == ["7 5 6 9"]
    swapped = {"target": models["draft"], "draft": models["target"]}
    assert refusal(models=swapped, chat=True).startswith(
        f"s.yaml: prompts: prompt 1 ('w5 w6'): model '{models['draft']}' has no chat template"
    )
    assert "model 'synthetic' has no chat template" in refusal(chat=True)


def test_options_of_a_model_reach_its_spec(models, monkeypatch):
    monkeypatch.setattr(memory, "free_gpu_memory", lambda: [10**9])
    draft = {"model": models["draft"], "dtype": "bf16", "without_layers": [1], "device": "auto"}
    made = plan(models={**models, "draft": draft})
    assert (made.draft.dtype, made.draft.without_layers) == ("bf16", (1,))
    assert (made.draft.device, made.target.device) == ("auto", "cpu")


def test_synthetic_prompts_are_those_of_the_model():
    made = plan(prompts=["hello"])
    size = SYNTHETIC["models"]["synthetic"]["vocabulary_size"]
    tokens = SyntheticModel(size, 0.5, 0, "target").encode("hello")
    assert [int(token) for token in made.prompts[0].split()] == tokens
    assert (made.end_tokens, made.warnings) == ([], [])


def test_unlike_vocabularies(models, tmp_path):
    other = str(save(FAMILIES["llama"](), tmp_path / "other", ids=IDS - 2))
    assert refusal(models={**models, "draft": other}).startswith(
        f"s.yaml: models: draft '{other}' and target '{models['target']}' must share one vocab"
    )


@pytest.mark.parametrize(
    ("methods", "new", "reader"),
    [
        (["dsd"], 127, "target"),  # 128 positions, and the last token is never read
        (["cloud_ar"], 127, "target"),
        (["device_only"], 127, "draft"),
    ],
)
def test_a_prompt_that_outgrows_a_context(models, methods, new, reader):
    """A prompt of three tokens."""
    changes = {"models": models, "methods": methods}
    plan(**changes, decoding={"max_new_tokens": new - 1})
    assert refusal(**changes, decoding={"max_new_tokens": new}) == (
        f"s.yaml: prompts: prompt 1 ('w5 w6'): prompt and max_new_tokens make {new + 3} tokens, "
        f"but model {models[reader]} reads at most 128"
    )


def test_all_nodes_must_fit_into_memory_together(models, monkeypatch):
    """A tiny model's weights are nothing; each process takes 0.4 GB."""
    monkeypatch.setattr(memory, "free_memory", lambda: 1_000_000_000)
    plan(models=models)
    many = {"topology": "cell", "devices": 2}
    text = refusal(models=models, **many)
    assert text.startswith("s.yaml: models: the models need 1.2 GB of memory (")
    assert "but 1.0 GB are free" in text
    plan(models=models, methods=["device_only"], **many)  # without a verifier
    plan(by="simulated", models=models, **many)  # with one draft for all devices


def test_a_simulated_pass_may_use_all_processors_of_its_job(models, monkeypatch):
    monkeypatch.setattr(preparation, "threads_per_node", lambda nodes: 12 // nodes)
    assert plan(models=models).draft.threads == 6
    assert plan(by="simulated", models=models, topology="cell", devices=2).draft.threads == 12


def test_a_missing_weight_file(models, tmp_path):
    (tmp_path / "target" / "model.safetensors").unlink()
    assert refusal(models=models).startswith(
        f"s.yaml: models.target: model '{models['target']}' has no model.safetensors"
    )


def test_a_damaged_weight_file(models, tmp_path):
    weights = tmp_path / "draft" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert refusal(models=models).startswith(f"s.yaml: models: {weights}: model ")
    assert "damaged" in refusal(models=models)


def test_a_larger_draft_and_a_rounded_target_are_allowed_with_a_warning(models, tmp_path):
    large = str(save(FAMILIES["gemma3n"](), tmp_path / "large"))
    (warning,) = plan(models={**models, "draft": large}).warnings
    assert warning.startswith(f"draft '{large}' has 0.1 M weights and target '{models['target']}'")
    (warning,) = plan(models={**models, "target": {"model": large, "dtype": "bf16"}}).warnings
    assert warning.startswith(
        f"target '{large}' runs in bf16: texts follow its law exactly in fp32"
    )
