"""QS, K-SQS and C-SQS: the exact output law, and the mistakes that it must show."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from testbed.decoding.sampling import Sampling
from testbed.drafting.bit_budget import _BitBudget
from testbed.methods.csqs import Csqs
from testbed.methods.ksqs import Ksqs
from testbed.methods.qs import Qs
from tests.support.laws import SAMPLINGS, round_law_error, text_law_error
from tests.support.mistakes import KeptTail, OneSided, RoundedAfterwards
from tests.support.toy import PLAIN, decode_locally, models, similar_models, task, with_method

CASES = [
    ("qs", {"lattice": 6}),
    ("qs", {"lattice": 6, "index": "simplex"}),
    ("ksqs", {"top_k": 2, "lattice": 5}),
    ("csqs", {"alpha": 0.1, "eta": 0.4, "first_threshold": 0.25, "lattice": 5}),
]
NAMES = ["qs", "qs-simplex", "ksqs", "csqs"]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("method", "options"), CASES, ids=NAMES)
@pytest.mark.parametrize(("v", "gamma"), [(2, 3), (3, 1), (3, 3), (4, 2), (5, 1), (5, 2)])
def test_the_output_follows_the_target_exactly(method, options, v, gamma, sampling):
    the_task = task(method, gamma + 1, sampling, draft_length=gamma, **options)
    assert round_law_error(the_task, *models(v), gamma + 1) < 1e-12


@pytest.mark.parametrize(("method", "options"), CASES, ids=NAMES)
def test_three_drafts_of_five_tokens(method, options):
    the_task = task(method, 4, draft_length=3, **options)
    assert round_law_error(the_task, *models(5), 4) < 1e-12


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("qs", {"lattice": 1}),
        ("qs", {"lattice": 1000}),
        ("ksqs", {"top_k": 1, "lattice": 9}),
        ("ksqs", {"top_k": 3, "lattice": 1}),
        ("csqs", {"first_threshold": 0.0, "lattice": 7}),
        ("csqs", {"first_threshold": 1.0, "lattice": 7}),
        ("ksqs", {}),
        ("csqs", {}),
    ],
)
def test_extremes_and_defaults(method, options):
    the_task = task(method, 3, **{"draft_length": 2, **options})
    assert round_law_error(the_task, *models(3), 3) < 1e-12


@pytest.mark.parametrize("bits", [1, 7, 14])
@pytest.mark.parametrize(("method", "options"), CASES[2:], ids=NAMES[2:])
def test_a_budget_that_ends_the_drafts(method, options, bits):
    """The length of a round depends on q, then on its drafts so far; the law does not."""
    budget = {"policy": "bit_budget", "bits": bits}
    the_task = task(method, 3, draft_length=budget, **options)
    assert round_law_error(the_task, *models(3), 3) < 1e-12


@pytest.mark.parametrize("predict", [True, False])
def test_a_budget_that_foresees_bits(monkeypatch, predict):
    """Every path of whole texts: where drafting stops depends on all passes before, kept or not.

    A draft takes 2 or 4.6 bits here.
    """
    foreseen, found = set(), set()
    admits = _BitBudget.admits

    def watched(self, drafts, told):
        admitted = admits(self, drafts, told)
        if drafts:
            (foreseen if told is None else found).add(admitted)
        return admitted

    monkeypatch.setattr(_BitBudget, "admits", watched)
    budget = {"policy": "bit_budget", "bits": 7, "longest": 3, "predict": predict}
    the_task = task("csqs", 5, draft_length=budget, **CASES[3][1])
    assert text_law_error(the_task, *models(2)) < 1e-12
    assert foreseen == ({True, False} if predict else {True})
    assert found == {True, False}


@pytest.mark.parametrize("v", [2, 3])
@pytest.mark.parametrize(("method", "options"), CASES, ids=NAMES)
def test_whole_texts_over_several_rounds(monkeypatch, method, options, v):
    """No induction: every path of every round; C-SQS's threshold goes on from one to the next."""
    thresholds = set()
    if method == "csqs":
        quantise = Csqs.quantise

        def watched(self, q):
            thresholds.add(self._threshold.threshold)
            return quantise(self, q)

        monkeypatch.setattr(Csqs, "quantise", watched)
    tokens, gamma = (6, 2) if v == 2 else (5, 1)
    the_task = task(method, tokens, draft_length=gamma, **options)
    assert text_law_error(the_task, *models(v)) < 1e-12
    assert len(thresholds) >= 4 or method != "csqs"


def test_the_two_forms_of_qs_emit_the_same_text():
    support, simplex = (
        decode_locally(task("qs", 200, lattice=30, index=index), *similar_models(40))
        for index in ("support", "simplex")
    )
    assert support.tokens == simplex.tokens
    assert replace(support.counts, formula_bits=0) == replace(simplex.counts, formula_bits=0)
    assert support.counts.formula_bits < simplex.counts.formula_bits
    assert support.traffic.up_payload_bits < simplex.traffic.up_payload_bits


# Negative controls: what must be caught.


class WrongLattice:
    """Verifies with another ℓ than was drawn from, as if floats had been sent instead."""

    def verifier(self, verifier, drafts, upload):
        decode = self.codec.decode

        def coarser(data, drafts):
            drawn = decode(data, drafts)
            for each in drawn:
                each.q.counts[:] = np.where(each.q.counts > 0, 1, 0)
                each.q.counts[0] += each.q.total - each.q.counts.sum()
            return drawn

        self.codec.decode = coarser
        yield from super().verifier(verifier, drafts, upload)


MISTAKES = [RoundedAfterwards, KeptTail, OneSided, WrongLattice]


@pytest.mark.parametrize("base", [Qs, Ksqs, Csqs])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_broken_methods_are_caught(mistake, base):
    name = f"broken_{base.name}"
    method = type(mistake.__name__, (mistake, base), {"name": name})
    options = dict(CASES[NAMES.index(base.name)][1])
    sampling = Sampling(top_k=2) if mistake is OneSided else PLAIN
    with with_method(method):
        the_task = task(name, 3, sampling, draft_length=2, **options)
        assert round_law_error(the_task, *models(3), 3) > 1e-3
