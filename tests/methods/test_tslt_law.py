"""The output law of tslt and tslt_tree, exactly: every path through the real code is walked."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np
import pytest

from testbed.codecs.truncated import Truncated
from testbed.decoding import acceptance, candidates
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Sampling
from testbed.methods import tslt_tree
from testbed.methods.tslt import Tslt
from testbed.methods.tslt_tree import TsltTree
from tests.support.laws import SAMPLINGS, round_law_error, text_law, text_law_error
from tests.support.mistakes import Raw, RoundedAfterwards, inverted, no_residual, stale_p, stale_q
from tests.support.toy import models, target_law, task, with_method

KEPT = [
    {"top_k": 2},
    {"top_k": 3, "values": "int8"},
    {"top_p": 0.7, "index": "ranked"},
    {"top_p": 0.9, "values": "int8"},
    {},
]
SHAPES = [[2], [3], [1, 1], [2, 1], [1, 2]]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("kept", KEPT, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(3, 3), (4, 2), (5, 1)])
def test_tslt_emits_the_target_law(v, gamma, kept, sampling):
    the_task = task("tslt", gamma + 1, sampling, draft_length=gamma, **kept)
    assert round_law_error(the_task, *models(v), gamma + 1) < 1e-12


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("branches", SHAPES, ids=str)
def test_tslt_tree_emits_the_target_law(branches, replacement, sampling):
    tokens = len(branches) + 1
    the_task = task("tslt_tree", tokens, sampling, branches=branches, replacement=replacement)
    assert round_law_error(the_task, *models(3), tokens) < 1e-12


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("kept", KEPT[:-1], ids=str)
@pytest.mark.parametrize(("v", "branches"), [(4, [2, 1]), (5, [3]), (4, [2, 2]), (3, [1, 2, 1])])
def test_tslt_tree_emits_the_target_law_with_a_truncated_q(v, branches, kept, replacement):
    if len(branches) > 1:
        kept = {**kept, "top_p": 0.6} if "top_p" in kept else {**kept, "top_k": 2}
    tokens = len(branches) + 1
    the_task = task("tslt_tree", tokens, branches=branches, replacement=replacement, **kept)
    assert round_law_error(the_task, *models(v), tokens) < 1e-12


@pytest.mark.parametrize(
    ("v", "tokens", "method", "options"),
    [
        (2, 4, "tslt", {"draft_length": 2}),
        (3, 3, "tslt", {"draft_length": 2, "top_k": 2, "values": "int8"}),
        (3, 3, "tslt", {"draft_length": 1, "top_p": 0.6}),
        (2, 4, "tslt_tree", {"branches": [2, 1]}),
        (2, 4, "tslt_tree", {"branches": [1, 1], "top_k": 1}),
        (3, 3, "tslt_tree", {"branches": [2], "values": "int8"}),
        (3, 3, "tslt_tree", {"branches": [2, 1], "top_k": 2, "index": "ranked"}),
        (2, 3, "tslt_tree", {"branches": [2, 1], "replacement": True}),
        (2, 4, "tslt_tree", {"branches": [2], "replacement": True}),
    ],
)
def test_whole_texts_over_several_rounds(v, tokens, method, options):
    """No induction: every path of every round."""
    the_task = task(method, tokens, **options)
    assert text_law_error(the_task, *models(v)) < 1e-12


@pytest.mark.parametrize("replacement", [False, True])
def test_a_tree_with_end_tokens_keeps_the_law(replacement):
    """A path that ends the text has nothing behind it; the other paths go on."""
    draft, target = models(3)
    the_task = msgspec.structs.replace(
        task("tslt_tree", 3, branches=[2, 1], replacement=replacement), end_tokens=(2,)
    )
    got = text_law(the_task, draft, target)
    wanted = defaultdict(float)
    for text, mass in target_law(target, Sampling(), 3).items():
        wanted[text[: text.index(2) + 1] if 2 in text else text] += mass
    assert set(got) == set(wanted)
    assert max(abs(got[text] - mass) for text, mass in wanted.items()) < 1e-12


# Negative controls: each mistake must show.


class TruncatesOnlyTheDraft:
    """Draws from the likeliest tokens, and has them verified against all of q."""

    def quantise(self, q):
        kept = q * (q >= np.sort(q)[-2])
        return Raw(super().quantise(q), kept)


@pytest.mark.parametrize("method", [Tslt, TsltTree])
@pytest.mark.parametrize(
    ("mistake", "kept", "least"),
    [
        (RoundedAfterwards, {"values": "int8"}, 1e-5),
        (RoundedAfterwards, {"values": "int8", "top_k": 2}, 1e-5),
        (RoundedAfterwards, {}, 1e-6),
        (TruncatesOnlyTheDraft, {}, 1e-3),
    ],
)
def test_broken_methods_are_caught(method, mistake, kept, least):
    class Broken(mistake, method):
        name = "broken"

    options = {"branches": [1, 1]} if method is TsltTree else {"draft_length": 2}
    with with_method(Broken):
        the_task = task("broken", 3, **options, **kept)
        assert round_law_error(the_task, *models(3), 3) > least


class Unnormalised(Lattice):
    """Values as they are on the wire, which do not sum to 1."""

    def probability(self, token):
        return super().probability(token) * self.total / 2**24

    @property
    def probabilities(self):
        return super().probabilities * self.total / 2**24


@pytest.mark.parametrize(
    ("method", "options"), [("tslt", {"draft_length": 2}), ("tslt_tree", {"branches": [2, 1]})]
)
def test_normalising_before_rounding_alone_is_caught(monkeypatch, method, options):
    monkeypatch.setattr(
        Truncated,
        "_lattice",
        lambda self, counts, support: Unnormalised(
            counts, int(counts.sum()), support, self._vocabulary_size
        ),
    )
    assert round_law_error(task(method, 3, **options), *models(3), 3) > 1e-6


@pytest.mark.parametrize(
    ("method", "options", "module"),
    [
        ("tslt", {"draft_length": 2}, acceptance),
        ("tslt_tree", {"branches": [2, 1]}, candidates),
        ("tslt_tree", {"branches": [1, 1], "replacement": True}, candidates),
    ],
)
def test_an_inverted_ratio_is_caught(monkeypatch, method, options, module):
    monkeypatch.setattr(module, "acceptance_probability", inverted)
    assert round_law_error(task(method, 3, **options), *models(3), 3) > 1e-3


@pytest.mark.parametrize(
    ("wrong", "replacement"),
    [
        (stale_q, False),
        (stale_p, False),
        (stale_p, True),
        (no_residual, False),
        (no_residual, True),
    ],
)
def test_a_wrong_rule_between_siblings_is_caught(monkeypatch, wrong, replacement):
    monkeypatch.setattr(tslt_tree, "first_accepted", wrong)
    the_task = task("tslt_tree", 2, branches=[2], replacement=replacement)
    assert round_law_error(the_task, *models(4), 2) > 1e-3


def test_siblings_as_places_among_those_left_must_be_read_in_order(monkeypatch):
    """The order of siblings is part of the law: sorted, they are verified against the wrong q̂."""

    def sorted_siblings(*args, **options):
        return sorted(candidates.draw_candidates(*args, **options))

    monkeypatch.setattr(tslt_tree, "draw_candidates", sorted_siblings)
    assert round_law_error(task("tslt_tree", 2, branches=[2]), *models(4), 2) > 1e-3
