"""QS with policies that choose γ and ℓ: the output law stays the target's, exactly.

The policies see q before it is quantised, what was accepted, and the clock, which runs by a script
here, for every path alike. Whole texts are enumerated over several rounds, so that what is learned
in one round decides in the next.
"""

from __future__ import annotations

import numpy as np
import pytest

from testbed.codecs.base import Drawn
from testbed.codecs.mixed import Mixed
from testbed.drafting import qs_dqn
from testbed.drafting.qs_dqn import ACTIONS, BRANCHES, JOINED
from testbed.methods.qs import Qs
from tests.support.laws import round_law_error, scripted_clocks, text_law_error
from tests.support.toy import ToyModel, models, task, with_method

MODEL = {"policy": "qs_model", "first": 2, "longest": 3}
LATTICES = [2, 3, 7]
TRAINED = [8, 12, 24]


def random_network(seed: int):
    """Weights whose choice depends on all that the policy sees."""
    rng = np.random.default_rng(seed)
    shapes = {}
    for name, (inputs, width) in BRANCHES.items():
        shapes |= {f"{name}.0": (width, inputs), f"{name}.2": (width, width)}
    joined = sum(width for _, width in BRANCHES.values())
    shapes |= {"joined.0": (JOINED, joined), "joined.2": (len(ACTIONS), JOINED)}
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = rng.normal(scale=2 / shape[1] ** 0.5, size=shape)
        weights[f"{name}.bias"] = rng.normal(scale=0.1, size=shape[0])
    # Long drafts are cut by the end of the text anyway; these make short ones likely too.
    weights["joined.2.bias"] += [8.0 if gamma < 3 else 0.0 for gamma, _ in ACTIONS]
    return {name: each.astype(np.float32) for name, each in weights.items()}


def adaptive_law_error(kind, tokens, vocabulary=2, **options):
    """Largest error of the law of whole texts; all γ and all ℓ that were seen, by round."""
    draft, target = models(vocabulary)
    the_task = task(kind.name, tokens, **options)
    lengths, totals = set(), set()

    class Noting(kind):
        name = kind.name

        def settle(self, drafts, accepted):
            self.rounds = getattr(self, "rounds", 0) + 1
            lengths.add((self.rounds, len(drafts)))
            totals.update((self.rounds, draft.q.total) for draft in drafts)
            super().settle(drafts, accepted)

    with with_method(Noting):
        error = text_law_error(the_task, draft, target, around=scripted_clocks)
    return error, lengths, totals


@pytest.mark.parametrize("index", ["support", "simplex"])
@pytest.mark.parametrize("lattice", [LATTICES, [2], 3])
def test_one_round_of_the_model(index, lattice):
    draft, target = ToyModel(4, 1), ToyModel(4, 2)
    the_task = task("qs", 4, draft_length=MODEL, lattice=lattice, index=index)
    assert round_law_error(the_task, draft, target, 4) < 1e-12


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_one_round_of_the_network(monkeypatch, seed):
    if seed is not None:
        monkeypatch.setattr(qs_dqn, "trained", lambda: random_network(seed))
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    the_task = task("qs", 3, draft_length={"policy": "qs_dqn"}, lattice=TRAINED)
    assert round_law_error(the_task, draft, target, 3) < 1e-12


def test_whole_texts_of_the_model():
    error, lengths, totals = adaptive_law_error(Qs, 5, draft_length=MODEL, lattice=LATTICES)
    assert error < 1e-12
    # It did choose: in the third round, by what the first two had told.
    assert len({n for number, n in lengths if number == 3}) > 1
    assert len({total for number, total in totals if number == 3}) > 1


def test_whole_texts_of_the_network(monkeypatch):
    seen_lengths, seen_totals = set(), set()
    for seed in range(3):
        monkeypatch.setattr(qs_dqn, "trained", lambda seed=seed: random_network(seed))
        error, lengths, totals = adaptive_law_error(
            Qs, 4, draft_length={"policy": "qs_dqn"}, lattice=TRAINED
        )
        assert error < 1e-12
        seen_lengths |= {n for number, n in lengths if number == 1}
        seen_totals |= {total for number, total in totals if number == 2}
    assert len(seen_lengths) > 1
    assert len(seen_totals) > 1


# Negative controls.


class OtherResolution(Qs):
    """Draws with one ℓ, sends the lattice of another."""

    name = "other_resolution"

    def make_codec(self):
        codec = super().make_codec()
        encode = codec.encode

        def coarse(drafts):
            changed = [Drawn(d.token, other(codec, d)) for d in drafts]
            return encode(changed)

        codec.encode = coarse
        return codec


def other(codec: Mixed, draft: Drawn):
    """Return the coarsest lattice in which the token can have been drawn."""
    for each in codec._codecs:
        lattice = each.quantise(draft.q.probabilities)
        if lattice.probability(draft.token):
            return lattice
    return draft.q


class Peeking(Qs):
    """Decides whether to send a draft by what it turned out to be."""

    name = "peeking"

    def device(self, device):
        propose = device.propose

        def cut(*arguments):
            drafts = yield from propose(*arguments)
            while drafts and drafts[-1].probability < 0.4:
                drafts.pop()
            return drafts

        device.propose = cut
        yield from super().device(device)


@pytest.mark.parametrize("kind", [OtherResolution, Peeking])
def test_broken_methods_are_caught(kind):
    error, _, _ = adaptive_law_error(kind, 4, vocabulary=3, draft_length=MODEL, lattice=LATTICES)
    assert error > 1e-3
