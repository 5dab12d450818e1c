"""Recording of compute profiles, with models whose passes take given times."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

from testbed.errors import TestbedError
from testbed.models.compute import recording
from testbed.models.compute.pace import Pace
from testbed.models.compute.profiles import find_compute_profile
from testbed.models.compute.recording import LENGTHS, PREFIX, ROUND, record, write_profile

MODEL = {"name": "fake", "dtype": "fp32", "threads": 2, "device": "cpu"}
PACE = Pace(per_pass=20e-3, per_token=2e-3)


class FakeModel:
    """A model whose passes take PACE, and `slow` times as long from `long` tokens on."""

    vocabulary_size = 7
    context_length = 4096
    name = "fake"

    def __init__(self, slow=1.0, long=10**9, jolt=lambda passes: 0.0) -> None:
        self.now, self.length, self.passes = 0.0, 0, []
        self._slow, self._long, self._jolt = slow, long, jolt

    def session(self):
        return self

    def extend(self, tokens, keep=None):
        self.length += len(tokens)
        self.passes.append((len(tokens), keep, self.length))
        factor = self._slow if len(tokens) >= self._long else 1.0
        self.now += factor * PACE.seconds(len(tokens)) + self._jolt(len(self.passes))
        return np.zeros((keep, self.vocabulary_size), np.float32)

    def rollback(self, length):
        self.length = length

    def encode(self, text):
        return [ord(character) % self.vocabulary_size for character in text]


def recorded(monkeypatch, model, role="target", **more):
    monkeypatch.setattr(recording.time, "monotonic", lambda: model.now)
    return record(model, role, **more)


def test_the_line_is_found_and_reported_to_fit(monkeypatch):
    made = recorded(monkeypatch, FakeModel())
    assert made.pace.per_pass == pytest.approx(PACE.per_pass)
    assert made.pace.per_token == pytest.approx(PACE.per_token)
    assert [each.tokens for each in made.timed] == list(LENGTHS)
    first, *others = made.remarks()
    assert first == (
        "20ms a pass and 2ms a token: for passes over 1 to 32 tokens within 0% of the median"
    )
    assert not made.noisy
    assert "no batches" in others[-1]


@pytest.mark.parametrize("role", ["draft", "target"])
def test_each_pass_reads_its_tokens_behind_the_prefix_and_predicts_as_its_role_does(
    role, monkeypatch
):
    model = FakeModel()
    made = recorded(monkeypatch, model, role)
    first_turn, *others = model.passes[0], *model.passes[1:]
    assert first_turn[0] == PREFIX + 1
    assert {(tokens, end) for tokens, _, end in others} == {(n, PREFIX + n) for n in LENGTHS}
    for tokens, keep, _ in others:
        assert keep == (tokens if role == "target" and tokens <= ROUND else 1)
    assert [(each.tokens, each.predicted) for each in made.timed if each.tokens == 16] == [
        (16, 16 if role == "target" else 1)
    ]


def test_a_bend_beyond_rounds_is_reported_and_not_fitted(monkeypatch):
    made = recorded(monkeypatch, FakeModel(slow=0.5, long=64))
    assert made.pace.per_token == pytest.approx(PACE.per_token)
    remarks = [sentence for sentence in made.remarks() if "prompts" in sentence]
    assert remarks == [
        "longer ones, prompts, were not fitted: up to 256 tokens the line is off by up to 100%"
    ]


def test_a_busy_machine_is_reported(monkeypatch):
    made = recorded(monkeypatch, FakeModel(jolt=lambda passes: 50e-3 * (passes % 5 == 0)))
    assert made.noisy
    assert any("record again" in sentence for sentence in made.remarks())
    assert made.pace.per_token == pytest.approx(PACE.per_token)  # for all that


def test_it_takes_no_longer_than_it_may(monkeypatch):
    turn = sum(PACE.seconds(n) for n in LENGTHS)
    made = recorded(monkeypatch, FakeModel(), budget=10.5 * turn)
    assert {len(each.seconds) for each in made.timed} == {10}
    made = recorded(monkeypatch, FakeModel(), budget=0.0)
    assert {len(each.seconds) for each in made.timed} == {5}


def test_a_short_context_is_used_as_far_as_it_goes(monkeypatch):
    model = FakeModel()
    model.context_length = PREFIX + 20
    made = recorded(monkeypatch, model)
    assert [each.tokens for each in made.timed] == [1, 2, 4, 8, 16]
    assert not any("prompts" in sentence for sentence in made.remarks())
    model.context_length = PREFIX + 1
    with pytest.raises(TestbedError, match=r"^model fake reads at most 129 tokens; 130 are needed"):
        record(model, "target")


def test_what_is_written_is_a_profile_with_all_that_was_measured(monkeypatch, tmp_path):
    made = recorded(monkeypatch, FakeModel())
    path = tmp_path / "mine.yaml"
    write_profile(made.profile(MODEL), path)
    profile = find_compute_profile(str(path), "here")
    assert profile.pace() == Pace(20e-3, 2e-3)
    assert re.match(
        r"testbed profile-compute, 20\d\d-\d\d-\d\d: fake, fp32, 2 threads on .*; 20ms a pass",
        profile.per_pass.source,
    )
    gpu = made.profile({**MODEL, "device": "NVIDIA A100"}).source
    assert "fake, fp32, 2 threads on NVIDIA A100; 20ms" in gpu
    kept = yaml.safe_load(path.read_text())["recorded"]
    assert kept["prefix"] == PREFIX
    assert kept["model"] == MODEL
    assert {"processor", "cores", "packages"} <= kept["machine"].keys()
    one = kept["passes"][3]
    assert (one["tokens"], one["predicted"], one["median_ms"], one["line_ms"]) == (8, 8, 36.0, 36.0)
    assert one["ms"] == [36.0] * len(made.timed[0].seconds)
    with pytest.raises(TestbedError, match="cannot be written: No such file or directory"):
        write_profile(made.profile(MODEL), tmp_path / "no" / "folder.yaml")


def test_figures_of_any_size_are_written_as_a_scenario_writes_them(monkeypatch, tmp_path):
    made = recorded(monkeypatch, FakeModel())
    for number, pace in enumerate([Pace(0.0, 1.234567e-9), Pace(1234.567, 0.0)]):
        path = tmp_path / f"{number}.yaml"
        write_profile(replace_pace(made, pace).profile(MODEL), path)
        got = find_compute_profile(str(path), "here").pace()
        assert got.per_pass == pytest.approx(pace.per_pass, rel=1e-3)
        assert got.per_token == pytest.approx(pace.per_token, rel=1e-3)


def replace_pace(made, pace):
    return type(made)(made.role, made.timed, pace)
