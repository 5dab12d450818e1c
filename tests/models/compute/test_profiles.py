"""Compute profiles: every value is a time with a source, and scenarios name profiles."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from testbed.config.sourced_value import PRESET
from testbed.errors import TestbedError
from testbed.links.profiles import PROFILES
from testbed.models.compute.pace import Pace
from testbed.models.compute.profiles import COMPUTE_PROFILES, find_compute_profile, is_file
from testbed.results.directory import Results
from testbed.scenario.load import check_scenario, load_scenario
from tests.scenario.test_load import BASE

NAMES = [
    "jetson_smollm2_135m", "pi5_qwen25_05b", "snapdragon_llama32_1b", "a100_llama2_7b",
    "a100_llama2_13b", "a100x4_llama2_70b", "h100_llama_7b", "h100x4_llama_70b",
    "tpu_chinchilla_4b", "tpu_chinchilla_70b",
]  # fmt: skip


def test_all_are_there_and_none_is_called_as_a_link_is():
    assert list(COMPUTE_PROFILES) == NAMES
    assert not COMPUTE_PROFILES.keys() & PROFILES.keys()
    assert not any(map(is_file, NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_a_time_with_a_source(name):
    profile = COMPUTE_PROFILES[name]
    assert profile.pace().per_pass > 0
    assert profile.pace().per_token >= 0
    assert all(len(figure.source) > 30 for figure in profile.figures().values())
    # Nobody measured how long a token more takes there.
    assert profile.measured == (name[:3] not in {"jet", "tpu"})
    assert profile.measured == all(PRESET not in f.source for f in profile.figures().values())


@pytest.mark.parametrize(
    ("name", "tokens", "seconds"),
    [
        ("jetson_smollm2_135m", 1, 1 / 165.2),
        ("pi5_qwen25_05b", 1, 1 / 33.84),
        ("pi5_qwen25_05b", 512, 512 / 289.92),
        ("snapdragon_llama32_1b", 1, 1 / 51.54),
        ("snapdragon_llama32_1b", 128, 128 / 169.42),
        ("a100_llama2_7b", 128, 22e-3),
        ("a100_llama2_13b", 128, 40e-3),
        ("a100x4_llama2_70b", 128, 74e-3),
        ("h100_llama_7b", 128, 7e-3),
        ("h100_llama_7b", 2048, 36e-3),
        ("h100x4_llama_70b", 2048, 109e-3),
        ("tpu_chinchilla_4b", 1, 1.8e-3),
        ("tpu_chinchilla_70b", 1, 14.1e-3),
    ],
)
def test_the_passes_that_were_published_take_what_they_took(name, tokens, seconds):
    assert COMPUTE_PROFILES[name].pace().seconds(tokens) == pytest.approx(seconds, rel=0.01)


@pytest.mark.parametrize(
    ("name", "speed"),
    [("a100_llama2_7b", 102.21), ("a100_llama2_13b", 56.58), ("a100x4_llama2_70b", 33.63)],
)
def test_128_tokens_behind_a_prompt_of_128_come_as_fast_as_published(name, speed):
    pace = COMPUTE_PROFILES[name].pace()
    assert 128 / (pace.seconds(128) + 127 * pace.seconds(1)) == pytest.approx(speed, rel=0.01)


def paced(**roles):
    return {**BASE, "compute": roles}


def test_a_scenario_names_a_profile_and_what_differs():
    raw = paced(
        draft={"profile": "jetson_smollm2_135m", "per_pass": "5ms"},
        target={"profile": "a100_llama2_7b"},
    )
    scenario = check_scenario(raw, "s.yaml")
    assert scenario.paces["draft"] == Pace(5e-3, 0.1e-3)
    assert scenario.paces["target"] == COMPUTE_PROFILES["a100_llama2_7b"].pace()
    mapping = scenario.to_mapping()
    assert mapping["compute"] == {
        "draft": {"profile": "jetson_smollm2_135m", "per_pass": "5ms", "per_token": "100us"},
        "target": {"profile": "a100_llama2_7b", "per_pass": "9.59ms", "per_token": "96.9us"},
    }
    again = check_scenario(mapping, "again.yaml")
    assert again.to_mapping() == mapping
    assert again.paces == scenario.paces


def test_profiles_can_be_swept():
    sweep = {"compute.target.profile": ["a100_llama2_7b", "a100_llama2_13b"]}
    raw = {**paced(target={"profile": "h100_llama_7b"}), "sweep": sweep}
    scenario = check_scenario(raw, "s.yaml")
    per_pass = [point.scenario.paces["target"].per_pass for point in scenario.points]
    assert per_pass == [9.59e-3, 17.3e-3]
    again = check_scenario(scenario.to_mapping(), "again.yaml")
    assert [point.scenario.paces for point in again.points] == [
        point.scenario.paces for point in scenario.points
    ]


@pytest.mark.parametrize(
    ("cost", "error"),
    [
        ({"profile": "a100"}, ".profile: 'a100' is not a compute profile; choose from jetson_"),
        ({"profile": "lte_good"}, ".profile: 'lte_good' is not a compute profile"),
        ({"profile": "./no.yaml"}, ".profile: "),
        ({}, ".per_pass: this key is missing, and there is no profile"),
        ({"profile": "h100_llama_7b", "per_pass": "3"}, ".per_pass: '3' is not a time"),
        ({"profile": "tpu_chinchilla_70b", "per_pass": "0"}, ": per_pass and per_token are both 0"),
    ],
)
def test_a_mistake_is_named(cost, error):
    with pytest.raises(TestbedError) as caught:
        check_scenario(paced(target=cost), "s.yaml")
    assert str(caught.value).startswith(f"s.yaml: compute.target{error}")
    assert "\n" not in str(caught.value)


FILE = {"per_pass": "7ms", "per_token": "250us", "source": "my desk"}


def test_a_file_is_looked_for_beside_the_scenario_and_kept_with_the_results(tmp_path):
    (tmp_path / "pi.yaml").write_text(yaml.safe_dump({**FILE, "recorded": {"machine": {"a": 1}}}))
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(paced(draft={"profile": "./pi.yaml"})))
    scenario = load_scenario(path)
    assert scenario.paces == {"draft": Pace(7e-3, 250e-6)}
    results = Results.create(tmp_path, "kept")
    results.write_scenario(scenario.to_mapping())
    (tmp_path / "pi.yaml").unlink()
    kept = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
    assert kept.paces == scenario.paces
    (copy,) = (results.path / "inputs").iterdir()
    assert results.scenario()["compute"]["draft"]["profile"] == f"inputs/{copy.name}"
    assert find_compute_profile(str(copy), "here").per_pass.source == "my desk"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({**FILE, "per_pass": "7"}, "per_pass: '7' is not a time; write a number and one of"),
        ({"per_pass": "7ms", "per_token": "0"}, "source: this key is missing"),
        ({**FILE, "per_batch": "1ms"}, "per_batch: unknown key; allowed are per_pass, per_token"),
        ([1], "[1]: expected `mapping`, got `list`"),
    ],
)
def test_a_file_that_is_no_profile_is_named(content, error, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(TestbedError) as caught:
        find_compute_profile(str(path), "here")
    assert str(caught.value).startswith(f"here: {path}: {error}")


def call(*arguments):
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_lists_both_kinds_and_shows_sources(tmp_path):
    listed = call("profiles").stdout
    assert all(name in listed for name in (*NAMES, *PROFILES))
    shown = call("profiles", "a100_llama2_7b").stdout
    assert "9.59ms" in shown
    assert "lmdeploy v0.1.0a1" in shown
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(FILE))
    assert "my desk" in call("profiles", str(tmp_path / "mine.yaml")).stdout
    refused = call("profiles", "a100")
    assert refused.returncode == 1
    assert "'a100' is not a profile; choose from 3g, " in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--threads", "0"], "--threads: it is 0; it must be 1 or more"),
        (["--out", "{}/there.yaml"], "--out {}/there.yaml: it exists already"),
        (["--out", "{}/no/x.yaml"], "--out {}/no/x.yaml: there is no such folder"),
        ([], "there is no model 'nonesuch'"),
    ],
)
def test_recording_refuses_before_it_loads_a_model(arguments, error, tmp_path):
    (tmp_path / "there.yaml").touch()
    given = [each.format(tmp_path) for each in arguments]
    refused = call("profile-compute", "--model", "nonesuch", *given)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {error.format(tmp_path)}")
