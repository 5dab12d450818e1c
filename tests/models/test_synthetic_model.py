from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from testbed.errors import TestbedError
from testbed.models.spec import Role
from testbed.models.synthetic import SyntheticModel


def law(model: SyntheticModel, text: list[int]) -> NDArray[np.float64]:
    weights = np.exp(model.session().extend(text, keep=1)[0].astype(np.float64))
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("acceptance", [0.3, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("size", [2, 3, 5, 1000, 50272])
def test_overlap_is_the_acceptance_in_every_context(
    size: int, acceptance: float, seed: int
) -> None:
    target = SyntheticModel(size, acceptance, seed, "target")
    draft = SyntheticModel(size, acceptance, seed, "draft")
    for text in ([0], [1, 0], [1, 1, 0], [size - 1, size // 2]):
        overlap = np.minimum(law(target, text), law(draft, text)).sum()
        assert overlap == pytest.approx(acceptance, abs=1e-6)


def test_low_acceptance_needs_the_least_likely_token_and_is_exact_too() -> None:
    target, draft = (SyntheticModel(5, 0.06, 0, role) for role in ("target", "draft"))
    overlap = np.minimum(law(target, [4, 2]), law(draft, [4, 2])).sum()
    assert overlap == pytest.approx(0.06, abs=1e-6)


@pytest.mark.parametrize(("size", "acceptance"), [(2, 0.2), (50272, 0.0), (9, 1.1), (9, -1.0)])
@pytest.mark.parametrize("role", ["target", "draft"])
def test_impossible_acceptance_is_refused(size: int, acceptance: float, role: Role) -> None:
    with pytest.raises(TestbedError, match=rf"'toy' has acceptance {acceptance}.* above .* to 1"):
        SyntheticModel(size, acceptance, 0, role, name="toy")


def test_vocabulary_of_one_is_refused() -> None:
    with pytest.raises(TestbedError, match="vocabulary_size 1; at least 2"):
        SyntheticModel(1, 0.5, 0, "target")


def test_distributions_depend_on_the_last_two_tokens_and_the_seed_only() -> None:
    model = SyntheticModel(1000, 0.7, 0, "target")
    base = law(model, [5, 6, 7])
    assert np.array_equal(base, law(model, [9, 9, 9, 6, 7]))
    for other in (law(model, [5, 9, 7]), law(model, [5, 6, 9]), law(model, [7, 6])):
        assert not np.array_equal(base, other)
    assert not np.array_equal(base, law(SyntheticModel(1000, 0.7, 1, "target"), [5, 6, 7]))


def test_known_values() -> None:
    """Logits are the same in every process and on every machine."""
    logits = SyntheticModel(5, 0.7, 11, "draft").session().extend([1, 2, 3], keep=1)[0]
    assert logits.dtype == np.float32
    assert logits == pytest.approx(
        [-1.0730242, -1.1851259, -2.6450088, -1.8680915, -2.0643818], abs=1e-6
    )


OPERATIONS = st.lists(
    st.one_of(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.floats(0, 1)), max_size=12
)


@settings(deadline=None)
@given(operations=OPERATIONS, role=st.sampled_from(["target", "draft"]))
def test_any_history_equals_a_fresh_prefill(
    operations: list[list[int] | float], role: Role
) -> None:
    model = SyntheticModel(7, 0.6, 3, role)
    session, text = model.session(), list[int]()
    for operation in operations:
        if isinstance(operation, float):
            del text[round(operation * len(text)) :]
            session.rollback(len(text))
        else:
            text += operation
            rows = session.extend(operation)
            assert np.array_equal(rows, model.session().extend(text)[-len(operation) :])
        assert session.length == len(text)
    assert np.array_equal(session.extend([1]), model.session().extend([*text, 1], keep=1))


def test_wrong_calls_are_refused_and_change_nothing() -> None:
    session = SyntheticModel(7, 0.6, 3, "target", name="toy").session()
    session.extend([1, 2])
    for tokens, words in (([], "no tokens"), ([1, 7], "token 7.*0 to 6"), ([-1], "token -1")):
        with pytest.raises(TestbedError, match=f"'toy' was given {words}"):
            session.extend(tokens)
    with pytest.raises(TestbedError, match="context allows 1048576"):
        session.extend([0] * (1 << 20))
    for keep in (0, 3):
        with pytest.raises(ValueError, match=f"keep={keep}"):
            session.extend([1, 2], keep=keep)
    for length in (-1, 3):
        with pytest.raises(ValueError, match=f"back to {length}"):
            session.rollback(length)
    assert session.length == 2


def test_text() -> None:
    model = SyntheticModel(100, 0.6, 3, "target")
    assert model.encode("aé") == [97, 195 % 100, 169 % 100]
    assert model.decode([17, 3]) == "⟨17⟩⟨3⟩"
    assert model.end_tokens == frozenset()
    assert model.vocabulary_id == "synthetic-100"


def test_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from testbed.models.load import load_model;"
        "from testbed.models.spec import SyntheticSpec;"
        "load_model(SyntheticSpec(9, 0.5), 'draft').session().extend([1]);"
        "from testbed.models import vocabulary; from testbed.models.store import catalog;"
        "catalog.describe();"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"
