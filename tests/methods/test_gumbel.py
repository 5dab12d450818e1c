"""Coupling by shared randomness: the target's law, whatever is drafted."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from math import ceil, log2
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from scipy import stats

from testbed.codecs.bits import PayloadError
from testbed.codecs.verification import write_verification
from testbed.decoding.randomness import KeyedRandomness
from testbed.decoding.sampling import Sampling, distribution
from testbed.methods.effects import Answer
from testbed.methods.gumbel import Gumbel
from tests.support.effects import changed
from tests.support.enumeration import joint_race
from tests.support.laws import SAMPLINGS, round_law_error, text_law_error
from tests.support.toy import ToyModel, decode_locally, models, similar_models, task, with_method
from tests.support.wire import decode_noting


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(2, 3), (3, 2), (4, 3), (5, 1), (5, 3)])
def test_the_output_law_is_the_targets(v, gamma, sampling):
    draft, target = ToyModel(v, 1), ToyModel(v, 2)
    the_task = task("gumbel", gamma + 1, sampling, draft_length=gamma)
    assert round_law_error(the_task, draft, target, gamma + 1) < 1e-12


def test_whole_texts_over_several_rounds():
    assert text_law_error(task("gumbel", 5, draft_length=1), *models(2)) < 1e-12


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_the_text_is_a_string_of_the_targets_races_whoever_drafts_and_how_much(sampling):
    target = ToyModel(30, 2)
    random, text = KeyedRandomness(7, 0, "device/0"), [0, 1]
    for _ in range(80):
        text.append(random.race(distribution(target.after(text), sampling), len(text)))
    lengths = [1, 2, 5, 200, {"policy": "heuristic"}, {"policy": "bit_budget", "bits": 12}]
    rounds = set()
    for length in lengths:
        for seed in (1, 3):
            the_task = task("gumbel", 80, sampling, draft_length=length)
            got = decode_locally(the_task, ToyModel(30, seed), target)
            assert got.tokens == text[2:]
            rounds.add(got.counts.rounds)
    assert len(rounds) > 1  # they did not all go the same way


def test_acceptance_is_as_the_joint_law_of_two_races_predicts():
    draft, target = similar_models(8)
    tokens = 3000
    got = decode_locally(_seeded(tokens, 3), draft, target)

    # γ = 1: a draft is verified at the beginning of each round.
    text, position, rates = [0, 1, *got.tokens], 2, []
    random = KeyedRandomness(3, 0, "device/0")
    while position < len(text) - 1:
        p, q = (distribution(model.after(text[:position]), Sampling()) for model in (target, draft))
        rates.append(np.trace(joint_race(p, q)))
        agree = random.race(q, position) == text[position]
        position += 1 + agree
    assert got.counts.verified == len(rates) > 1500
    deviation = (got.counts.accepted - sum(rates)) / np.sqrt(sum(r * (1 - r) for r in rates))
    assert abs(deviation) < 3.3
    assert 0.3 < np.mean(rates) < 0.8  # far from where any rule would do


def _seeded(tokens, seed, name="gumbel", **options):
    the_task = task(name, tokens, draft_length=1, **options)
    return msgspec.structs.replace(the_task, seed=seed)


def test_at_temperature_0_drafts_are_accepted_where_the_greedy_tokens_agree():
    draft, target = similar_models(20)
    got = decode_locally(task("gumbel", 300, Sampling(temperature=0)), draft, target)
    text, agreed = [0, 1], 0
    for token in got.tokens:
        assert token == int(target.after(text).argmax())
        agreed += token == int(draft.after(text).argmax())
        text.append(token)
    assert 0 < got.counts.accepted <= agreed
    same = decode_locally(task("gumbel", 300, Sampling(temperature=0)), target, target)
    assert same.counts.accepted == same.counts.verified > 200


class Apart(KeyedRandomness):
    """Races on exponentials of its own."""

    def __init__(self, random):
        self.random = random

    def race(self, weights, position):
        return self.random.choose(weights, "draft", position)


class ApartGumbel(Gumbel):
    """The device's exponentials are not the verifier's: lossless still, but hardly a coupling."""

    name = "apart_gumbel"

    def device(self, device):
        device.random = Apart(device.random)
        return super().device(device)


def test_independent_exponentials_keep_the_law_and_lose_the_acceptance():
    draft, target = similar_models(4)
    with with_method(ApartGumbel):
        the_task = task("apart_gumbel", 3, draft_length=2)
        assert round_law_error(the_task, draft, target, 3) < 1e-12
        apart = decode_locally(_seeded(3000, 3, "apart_gumbel"), *similar_models(8)).counts
    coupled = decode_locally(_seeded(3000, 3), *similar_models(8)).counts
    assert apart.accepted / apart.verified < 0.6 * coupled.accepted / coupled.verified


class DevicesToken(Gumbel):
    """At the first difference the device's winner is emitted."""

    name = "devices_token"

    def verifier(self, verifier, drafts, upload):
        before = len(verifier.token_ids)

        def emitting(answer: Answer) -> Answer:
            accepted = len(verifier.token_ids) - before - 1
            if accepted == drafts:
                return answer
            verifier.token_ids[-1] = token = upload[0] >> 6  # γ is 1, an id has two bits
            return Answer(write_verification(accepted, token, drafts, self.vocabulary_size))

        yield from changed(super().verifier(verifier, drafts, upload), Answer, emitting)


def test_emitting_the_devices_token_is_caught():
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    with with_method(DevicesToken):
        the_task = task("devices_token", 2, draft_length=1)
        assert round_law_error(the_task, draft, target, 2) > 1e-2


@pytest.mark.parametrize("gamma", [1, 3, 8])
def test_bits_on_the_wire(gamma):
    got, line = decode_noting(task("gumbel", 60, draft_length=gamma))
    assert all(message.catch_up == [] for message, _ in line.rounds)
    assert gamma in line.drafts
    assert [len(up) for up in line.up] == [ceil(6 * drafts / 8) for drafts in line.drafts]
    assert [len(down) for down in line.down] == [
        ceil((6 + ceil(log2(drafts + 1))) / 8) for drafts in line.drafts
    ]
    drafted = sum(line.drafts)
    assert got.traffic.up_payload_bits == 2 * 6 + 6 * drafted  # the prompt has two tokens
    assert got.counts.formula_bits == 6 * drafted
    assert got.counts.drafted == drafted
    assert got.counts.accepted + got.counts.rounds == 60


def test_an_upload_of_another_length_is_refused():
    method = Gumbel(Gumbel.Options(), 37)
    side = SimpleNamespace(decoding=nullcontext)
    for data in (b"", b"\0" * 2, b"\xff" * 3):
        with pytest.raises(PayloadError):
            next(method.verifier(side, 3, data))


# The races themselves.


def test_races_are_a_function_of_the_key_alone():
    weights = np.random.default_rng(0).random(50)
    first, second = (KeyedRandomness(5, 2, "device/1") for _ in range(2))
    forwards = [first.race(weights, position) for position in range(50)]
    backwards = [second.race(weights, position) for position in reversed(range(50))]
    assert forwards == backwards[::-1]
    others = [(6, 2, "device/1"), (5, 3, "device/1"), (5, 2, "device/2")]
    for key in others:
        assert [KeyedRandomness(*key).race(weights, i) for i in range(50)] != forwards
    # Results of other days and machines depend on these.
    known = [KeyedRandomness(1, 0, "device/0").race(np.arange(1, 9), i) for i in range(8)]
    assert known == [7, 4, 6, 2, 6, 6, 2, 6]


def test_winners_follow_the_weights_and_an_entry_without_weight_never_wins():
    random = KeyedRandomness(3, 0, "device/0")
    for weights in (np.array([0.0, 1.0, 0.0, 2.5, 0.5, 0.0]), np.array([0, 7, 1, 0, 2**31, 12])):
        got = np.bincount([random.race(weights, i) for i in range(20_000)], minlength=6)
        some = weights > 0
        assert not got[~some].any()
        assert stats.chisquare(got[some], weights[some] / weights.sum() * 20_000).pvalue > 1e-3


def test_the_smallest_weights_lose_without_a_word():
    random = KeyedRandomness(3, 0, "device/0")
    weights = np.array([0.0, 5e-324, 1.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {random.race(weights, i) for i in range(100)} == {2}
        only = np.array([0.0, 5e-324, 0.0])
        assert {random.race(only, i) for i in range(100)} == {1}
        assert {random.race(np.eye(9)[4], i) for i in range(100)} == {4}
