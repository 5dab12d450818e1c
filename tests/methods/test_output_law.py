"""The output law of each lossless method, exactly: every path through the real code is walked."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.codecs.fixed_point import FixedPoint
from testbed.decoding import acceptance
from testbed.decoding.sampling import Sampling, distribution
from testbed.methods.dsd import Dsd
from tests.support.laws import SAMPLINGS, round_law_error, text_law_error
from tests.support.mistakes import KeptTail, OneSided, Raw, inverted
from tests.support.toy import ToyModel, decode_locally, task, with_method


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(2, 3), (3, 2), (4, 3), (5, 1), (5, 3)])
def test_dsd_emits_the_target_law(v, gamma, sampling):
    draft, target = ToyModel(v, 3), ToyModel(v, 4)
    the_task = task("dsd", gamma + 1, sampling, draft_length=gamma)
    assert round_law_error(the_task, draft, target, gamma + 1) < 1e-12


@pytest.mark.parametrize("precision", ["fixed16", "fixed32"])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(2, 3), (3, 2), (5, 1), (4, 3)])
def test_dssd_emits_the_law_that_the_wire_carries(v, gamma, sampling, precision):
    draft, target = ToyModel(v, 3), ToyModel(v, 4)
    the_task = task("dssd", gamma + 1, sampling, draft_length=gamma, target_precision=precision)
    codec = FixedPoint(precision)
    assert round_law_error(the_task, draft, target, gamma + 1, codec.quantise) < 1e-12


@pytest.mark.parametrize("precision", ["fixed16", "fixed32"])
def test_the_lattice_stays_within_its_bound(precision):
    target, codec = ToyModel(5, 2), FixedPoint(precision)
    for a in range(5):
        p = distribution(target.after([a, a]), Sampling())
        distance = 0.5 * abs(codec.quantise(p).probabilities - p).sum()
        assert distance <= 5 / (4 * codec.total)


@pytest.mark.parametrize("method", ["dsd", "dssd", "cloud_ar"])
def test_whole_texts_over_several_rounds(method):
    """No induction: two tokens a round at most, four tokens, every path of every round."""
    draft, target = ToyModel(2, 1), ToyModel(2, 2)
    options = {} if method == "cloud_ar" else {"draft_length": 2}
    the_task = task(method, 4, **options)
    quantise = FixedPoint("fixed16").quantise if method == "dssd" else None
    assert text_law_error(the_task, draft, target, quantise) < 1e-12


# Negative controls: each mistake that papers, code and libraries have made must be caught here.


class RawQ(Dsd):
    """Draws from q itself and verifies against q̂ (here a coarse one, so that it shows)."""

    name = "raw_q"

    def quantise(self, q):
        return Raw(super().quantise(np.ceil(q * 4) / np.ceil(q * 4).sum()), q)


class ArgmaxDraft(Dsd):
    """Drafts the likeliest token but reports q̂ as if it had been drawn."""

    name = "argmax_draft"

    def quantise(self, q):
        return Raw(super().quantise(q), np.eye(q.size)[q.argmax()])


class KeptTailDsd(KeptTail, Dsd):
    name = "kept_tail"


class OneSidedDsd(OneSided, Dsd):
    name = "one_sided"


@pytest.mark.parametrize("method", [RawQ, ArgmaxDraft, KeptTailDsd, OneSidedDsd])
def test_broken_methods_are_caught(method):
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    sampling = Sampling(top_k=2) if method is OneSidedDsd else Sampling()
    with with_method(method):
        the_task = task(method.name, 3, sampling, draft_length=2)
        assert round_law_error(the_task, draft, target, 3) > 1e-3


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_an_inverted_ratio_is_caught(monkeypatch, method):
    monkeypatch.setattr(acceptance, "acceptance_probability", inverted)
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    the_task = task(method, 3, draft_length=2)
    assert round_law_error(the_task, draft, target, 3) > 1e-3


def test_rounding_only_the_scalar_is_caught(monkeypatch):
    """DSSD with a scalar that is not the probability the token was drawn with."""
    monkeypatch.setattr(
        FixedPoint,
        "write_scalar",
        lambda self, writer, q, token: writer.write(
            max(1, round(q.probability(token) * 8) * self.total // 8), self.bits
        ),
    )
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    the_task = task("dssd", 3, draft_length=2)
    assert round_law_error(the_task, draft, target, 3, FixedPoint("fixed16").quantise) > 1e-3


def test_equal_precision_and_seed_give_equal_tokens():
    draft, target = ToyModel(50, 1), ToyModel(50, 2)
    for precision in ("fixed16", "fixed32"):
        options = {"precision": precision, "target_precision": precision}
        texts = [
            decode_locally(task(name, 200, draft_length=4, **options), draft, target).tokens
            for name in ("dsd", "dssd")
        ]
        assert texts[0] == texts[1]


def test_temperature_0_is_the_targets_own_greedy_text():
    draft, target = ToyModel(30, 1), ToyModel(30, 2)
    text = [0, 1]
    for _ in range(100):
        text.append(int(target.after(text).argmax()))
    for name in ("cloud_ar", "dsd", "dssd"):
        got = decode_locally(task(name, 100, Sampling(temperature=0)), draft, target)
        assert got.tokens == text[2:]
