"""Synthetic pairs with several α: each context has one α, and each α its own sharpness."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import msgspec
import numpy as np
import pytest

from testbed.config.convert import convert
from testbed.errors import TestbedError
from testbed.models.load import load_model
from testbed.models.spec import ModelSpec, SyntheticSpec
from testbed.models.synthetic import SyntheticModel, draft_distribution, target_distribution
from testbed.scenario.schema import SyntheticModels

ALPHAS = (0.55, 0.8, 0.95)
V = 2000


def rows(model: SyntheticModel, contexts: list[tuple[int, int]]) -> np.ndarray:
    """Return the probabilities after each context, float64 [contexts, V]."""
    distributions = np.exp(np.stack([model.next_logits(c) for c in contexts]).astype(np.float64))
    return distributions / distributions.sum(axis=1, keepdims=True)


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum())


@pytest.mark.parametrize("size", [5, 1000, 50272])
@pytest.mark.parametrize("index", [0, 1, 2, 5])
def test_every_shape_has_its_acceptance_to_1e_9(size, index):
    p = target_distribution(size, b"7", index)
    for acceptance in (0.55, 0.8, 0.95, 1.0):
        q = draft_distribution(p, acceptance, b"7")
        assert q.sum() == pytest.approx(1, abs=1e-12)
        assert q.min() >= 0
        assert np.minimum(p, q).sum() == pytest.approx(acceptance, abs=1e-9)


def test_shapes_are_powers_of_the_rank():
    ranks = np.arange(1, 1001)
    for index in range(4):
        p = np.sort(target_distribution(1000, b"3", index))[::-1]
        wanted = ranks ** -(1.5 + index / 2)
        assert p == pytest.approx(wanted / wanted.sum(), rel=1e-12)


def test_later_shapes_have_a_sharper_draft():
    for size in (50, 50272):
        drafts = [
            draft_distribution(target_distribution(size, b"0", i), a, b"0")
            for i, a in enumerate(ALPHAS)
        ]
        entropies = [entropy(q) for q in drafts]
        assert entropies == sorted(entropies, reverse=True)
        assert np.diff(entropies).max() < -0.3
        tops = [q.max() for q in drafts]
        assert np.diff(tops).min() > 0.1


def test_both_ends_agree_on_the_shape_of_every_context_and_the_mean_is_that_of_the_list():
    target, draft = (SyntheticModel(V, ALPHAS, 5, role) for role in ("target", "draft"))
    contexts = [(a, b) for a in range(40) for b in range(1000, 1050)]
    overlaps = np.minimum(rows(target, contexts), rows(draft, contexts)).sum(axis=1)
    found = Counter(min(ALPHAS, key=lambda a, o=o: abs(a - o)) for o in overlaps)
    assert all(abs(overlaps - a).min() < 1e-6 for a in ALPHAS)
    assert np.abs(overlaps[:, None] - np.array(ALPHAS)).min(axis=1).max() < 1e-6
    # 2,000 contexts: each shape a third of them, within four standard deviations.
    assert all(abs(found[a] - 2000 / 3) < 4 * (2000 * 2 / 9) ** 0.5 for a in ALPHAS)
    assert overlaps.mean() == pytest.approx(np.mean(ALPHAS), abs=0.015)


def test_shape_and_rotation_are_independent_of_each_other():
    """The shape and the rotation of a context come from different hashes."""
    draft = SyntheticModel(4, ALPHAS, 5, "draft")
    seen = {
        (row.argmax(), round(float(row.max()), 3))
        for row in rows(draft, [(a, b) for a in range(4) for b in range(4)] * 2)
    }
    assert len({top for _, top in seen}) == 3
    assert len(seen) >= 6


@pytest.mark.parametrize("role", ["target", "draft"])
def test_the_first_shape_alone_is_the_pair_with_one_number(role):
    plain, listed = (SyntheticModel(V, a, 9, role) for a in (0.7, (0.7,)))
    several = SyntheticModel(V, (0.7, 0.7, 0.7), 9, role)
    same = 0
    for context in [(a, 3 * a) for a in range(60)]:
        assert np.array_equal(plain.next_logits(context), listed.next_logits(context))
        same += np.array_equal(plain.next_logits(context), several.next_logits(context))
    assert 5 < same < 40  # about a third


def test_known_values_in_another_process():
    """Hashes and distributions are the same in every process."""
    code = (
        "from testbed.models.synthetic import SyntheticModel as M;"
        "m = M(6, (0.5, 0.9), 2, 'draft');"
        "print([[round(float(x), 5) for x in m.next_logits((i, 1))] for i in range(4)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    model = SyntheticModel(6, (0.5, 0.9), 2, "draft")
    here = [[round(float(x), 5) for x in model.next_logits((i, 1))] for i in range(4)]
    assert done.stdout.strip() == str(here)
    assert here[0] == pytest.approx(KNOWN, abs=1e-5)


KNOWN = [-2.353312, -2.543898, -2.420868, -1.72538, -0.901386, -1.87451]


def test_description_travels_as_json():
    spec = SyntheticSpec(vocabulary_size=9, acceptance=ALPHAS)
    data = msgspec.json.encode(spec)
    assert msgspec.json.decode(data, type=ModelSpec) == spec
    assert (
        msgspec.json.decode(
            b'{"type":"synthetic","vocabulary_size":9,"acceptance":[0.55,0.8,0.95]}', type=ModelSpec
        )
        == spec
    )
    there = load_model(msgspec.json.decode(data, type=ModelSpec), "draft")
    here = SyntheticModel(9, ALPHAS, 0, "draft")
    assert np.array_equal(there.session().extend([1, 2, 3]), here.session().extend([1, 2, 3]))


@pytest.mark.parametrize(
    ("acceptance", "message"),
    [
        ([], r"m.acceptance: \[\]: expected `list` of length >= 1"),
        ([0.5, 2], r"m.acceptance\[1\]: 2: expected `float` <= 1.0"),
        ([0.5, 0], r"m.acceptance\[1\]: 0: expected `float` > 0.0"),
        (["a"], r"m.acceptance\[0\]: 'a': expected `float`, got `str`"),
        ("high", r"m.acceptance: 'high': expected `float \| list`, got `str`"),
    ],
)
def test_bad_lists_are_refused_in_a_scenario(acceptance, message):
    with pytest.raises(TestbedError, match=f"^{message}$"):
        convert({"vocabulary_size": 9, "acceptance": acceptance}, SyntheticModels, "m.")


def test_bad_lists_are_refused_by_the_model():
    with pytest.raises(TestbedError, match="'toy' has an empty list of acceptances"):
        SyntheticModel(9, [], 0, "target", name="toy")
    with pytest.raises(TestbedError, match=r"'toy' has acceptance 1\.2;"):
        SyntheticModel(9, [0.5, 1.2], 0, "target", name="toy")
    # What the first shape allows, a sharper one may not, and the other way round.
    with pytest.raises(TestbedError, match=r"'toy' has acceptance 0.01; .* above 0.019"):
        SyntheticModel(9, [0.01, 0.5], 0, "target", name="toy")
    SyntheticModel(9, [0.5, 0.01], 0, "target")
