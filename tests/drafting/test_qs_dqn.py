"""QS's trained network: its weights, what it sees, and that a device needs no torch for it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from testbed.codecs.base import Drawn
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import quantise
from testbed.drafting import qs_dqn
from testbed.drafting.qs_dqn import (
    ACTIONS,
    BRANCHES,
    REMEMBERED,
    RESOLUTIONS,
    WEIGHTS,
    QsDqn,
    state_of,
    trained,
    values,
)
from testbed.drafting.resolution import Resolution
from testbed.errors import TestbedError
from tests.drafting.rounds import ROUND
from tests.support.options import refusal
from tests.support.toy import decode_locally, models, similar_models, task

SCRIPT = Path(__file__).parents[2] / "scripts/train_qs_policy.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_qs_policy", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def offered(*totals):
    return [Resolution(total, SparseLattice(total, 100).bits) for total in totals or RESOLUTIONS]


def test_actions_are_the_papers_lengths_with_each_resolution():
    assert len(ACTIONS) == len(set(ACTIONS)) == 11 * len(RESOLUTIONS)
    assert sorted({gamma for gamma, _ in ACTIONS}) == [*range(1, 11), 12]


def test_weights_are_small_and_of_the_form_that_is_described():
    assert WEIGHTS.stat().st_size < 300_000
    shapes = {name: each.shape for name, each in trained().items()}
    for name, (inputs, width) in BRANCHES.items():
        assert shapes[f"{name}.0.weight"] == (width, inputs)
        assert shapes[f"{name}.2.weight"] == (width, width)
    assert shapes["joined.0.weight"] == (128, 128 + 32 + 16)
    assert shapes["joined.2.weight"] == (len(ACTIONS), 128)
    assert all(np.isfinite(each).all() for each in trained().values())


def test_the_state_is_the_last_accepted_ones_and_the_uplink():
    history, summary, uplink = state_of([0.5, 0.25], 4e6)
    assert history.shape == (REMEMBERED,)
    assert history[-2:].tolist() == [0.5, 0.25]
    assert not history[:-2].any()
    assert summary.tolist() == [0.375, 0.25]
    assert uplink.tolist() == [2.0]
    history, summary, uplink = state_of(np.linspace(0, 1, 100).tolist(), None)
    assert history == pytest.approx(np.linspace(0, 1, 100)[-REMEMBERED:])
    assert uplink.tolist() == [0.0]
    assert not any(each.any() for each in state_of([], None))
    assert np.isfinite(state_of([], float("inf"))[2]).all()


def test_numpy_computes_what_torch_trained(script):
    torch = pytest.importorskip("torch")
    network = script.Network()
    weights = script.arrays(network)
    assert {name: each.shape for name, each in weights.items()} == {
        name: each.shape for name, each in trained().items()
    }
    rng = np.random.default_rng(0)
    for rate in (2e5, 6e6):
        state = state_of(rng.random(40).tolist(), rate)
        with torch.no_grad():
            wanted = network(*(torch.from_numpy(each)[None] for each in state))[0].numpy()
        assert values(weights, state) == pytest.approx(wanted, abs=1e-5)


def test_training_is_a_function_of_the_seed(script, monkeypatch):
    """On a small vocabulary; evaluated in the end, or what is kept would be the weights before."""
    for name, value in {"V": 500, "EVALUATE": 3, "CHECKED": 2}.items():
        monkeypatch.setattr(script, name, value)
    first, second, other = (script.train(3, seed) for seed in (1, 1, 2))
    untrained = script.train(0, 1)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)
    assert not any(np.array_equal(first[name], untrained[name]) for name in first)


def choosing(gamma: int, total: int, monkeypatch):
    """Return a policy whose network always prefers one action."""
    preferred = np.zeros(len(ACTIONS), np.float32)
    preferred[ACTIONS.index((gamma, total))] = 1
    monkeypatch.setattr(qs_dqn, "values", lambda weights, state: preferred)


def test_the_round_has_the_length_and_the_resolution_of_the_action(monkeypatch):
    choosing(5, 24, monkeypatch)
    policy = QsDqn().start(offered())
    q = np.full(100, 0.01)
    drafts = []
    while policy.more(drafts):
        drafts.append(Drawn(0, quantise(q, policy.choose(q))))
    assert [draft.q.total for draft in drafts] == [24] * 5


def test_what_is_not_offered_is_not_taken(monkeypatch):
    choosing(5, 24, monkeypatch)
    policy = QsDqn().start(offered(8, 100))
    policy.more([])
    assert policy.choose(np.full(100, 0.01)) in (8, 100)


def test_it_remembers_q_unquantised_and_of_accepted_drafts_alone(monkeypatch):
    seen = []
    choosing(3, 8, monkeypatch)
    monkeypatch.setattr(
        qs_dqn, "state_of", lambda history, rate: seen.append((list(history), rate))
    )
    policy = QsDqn().start(offered())
    laws = [np.array([0.61, 0.29, 0.1]), np.array([0.2, 0.33, 0.47]), np.array([0.9, 0.07, 0.03])]
    tokens = [1, 2, 0]
    drafts = []
    for token, q in zip(tokens, laws, strict=True):
        assert policy.more(drafts)
        drafts.append(Drawn(token, quantise(q, policy.choose(q))))
    policy.settle(drafts, 2)
    policy.learn(replace(ROUND, drafted=3, accepted=2, verified=3))
    policy.more([])
    assert seen[0] == ([], None)
    assert seen[1][0] == [0.29, 0.47]
    policy.learn(replace(ROUND, drafted=3, accepted=0, verified=1))
    policy.more([])
    assert seen[2][1] == pytest.approx(8 * 4040 / 0.25)  # bits over seconds of the timed round


def test_a_device_needs_no_torch():
    code = (
        "import sys; from testbed.methods.qs import Qs;"
        "from testbed.drafting.qs_dqn import trained; trained();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


BAD = [
    (
        {"draft_length": {"policy": "qs_dqn"}, "lattice": [8, 16, 32]},
        "qs.lattice: 16, 32: qs_dqn is trained for 8, 12, 24, 100, 240; choose from these",
    ),
    (
        {"draft_length": 3, "lattice": [8, 16]},
        "qs.lattice: [8, 16] needs a draft_length that chooses from it, {policy: qs_dqn} or "
        "{policy: qs_model}; otherwise give one number",
    ),
    (
        {"draft_length": {"policy": "qs_model"}, "lattice": [8, 16, 8]},
        "qs.lattice: [8, 16, 8] has one ℓ twice; give each once",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=str)
def test_what_cannot_be_chosen_from_is_refused(options, message):
    with pytest.raises(TestbedError) as caught:
        decode_locally(task("qs", 5, **options), *models(5))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("dsd", {"draft_length": {"policy": "qs_model"}}, "x.draft_length.policy: 'qs_model': "),
        ("qs", {"draft_length": {"policy": "qs_model", "first": 0}}, "x.draft_length.first: 0: "),
        ("qs", {"draft_length": {"policy": "qs_dqn", "seed": 0}}, "x.draft_length.seed: unknown "),
        ("qs", {"lattice": []}, "x.lattice: []: expected `list` of length >= 1"),
        ("qs", {"lattice": [3, 0]}, "x.lattice[1]: 0: expected `int` >= 1"),
    ],
)
def test_bad_options_are_refused(method, options, message):
    assert refusal(method, options).startswith(message)


@pytest.mark.parametrize("policy", ["qs_model", "qs_dqn"])
@pytest.mark.parametrize("index", ["support", "simplex"])
@pytest.mark.parametrize("lattice", [240, [12], [8, 12, 24, 100, 240]])
def test_texts_of_any_length_are_decoded(policy, index, lattice):
    for tokens in (1, 2, 60):
        got = decode_locally(
            task("qs", tokens, draft_length={"policy": policy}, lattice=lattice, index=index),
            *similar_models(30, 0.3),
        )
        assert len(got.tokens) == tokens
        assert got.counts.accepted <= got.counts.verified <= got.counts.drafted
