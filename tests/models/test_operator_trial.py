"""The trial of operators: refused, wrong or slow ones are not used, on any processor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch.nn import functional

from testbed.models import operator_trial
from testbed.models.cpu import int8
from testbed.models.hf.backends import plain_backend
from testbed.models.hf.model import HuggingFaceModel, load_network
from testbed.models.operator_trial import LENGTHS, shorten, try_operator
from testbed.models.spec import Dtype, OperatorChoice
from tests.models.tiny import FAMILIES, LOGITS, save

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

DTYPES: tuple[Dtype, ...] = ("fp32", "bf16", "int8")
TEXT = [5, 40, 7, 1, 9, 3, 3, 8]
PRODUCTS = 13
"""Products of a pass: four matrices in each of three layers, and the head."""
multiply = functional.linear


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(FAMILIES["llama"](), tmp_path_factory.mktemp("llama"))


class Operators:
    """Replacements for the operators and the clock, so that no test depends on the processor."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.cost: Callable[[int], float] = lambda _tokens: 1.0
        """Seconds of a product by an operator; a plain one takes 1."""
        self.factor = 1.0
        """Products by an operator are this many times too large."""

    def plain(self, x: Any, *others: Any) -> Any:
        self.clock += 1.0
        return multiply(x, *others)

    def pointwise(self, x: Any, weight: Any, bias: Any, *_options: Any) -> Any:
        return self._seen(x, multiply(x, weight, bias))

    def int8pack(self, x: Any, integers: Any, scale: Any) -> Any:
        return self._seen(x, (multiply(x.float(), integers.float()) * scale).bfloat16())

    def _seen(self, x: Any, product: Any) -> Any:
        self.clock += self.cost(x.numel() // x.shape[-1])
        return product * self.factor


@pytest.fixture
def operators(monkeypatch: pytest.MonkeyPatch) -> Operators:
    made = Operators()
    monkeypatch.setattr(functional, "linear", made.plain)
    monkeypatch.setattr(int8, "multiply", made.plain)
    monkeypatch.setattr(torch, "_weight_int8pack_mm", made.int8pack)
    mkldnn: Any = torch.ops.mkldnn
    monkeypatch.setattr(mkldnn, "_reorder_linear_weight", lambda w, _rows: w.clone(), raising=False)
    monkeypatch.setattr(mkldnn, "_linear_pointwise", made.pointwise, raising=False)
    return made


def refuse(*_anything: object) -> Any:
    raise RuntimeError("this processor has no such thing. And so on")


def choice(path: Path, dtype: Dtype, operators: Operators) -> OperatorChoice:
    network = load_network(path, "it", dtype, (), "cpu")
    backend = plain_backend(network, "it", dtype, "cpu")
    return try_operator(backend, dtype, LOGITS, lambda: operators.clock)


def logits(path: Path, dtype: Dtype, operator_from: int | None) -> Any:
    """Return the logits of a first pass, of a pass after a rollback, and of a single token."""
    model = HuggingFaceModel(path, "it", dtype=dtype, operator_from=operator_from)
    session = model.session()
    first = session.extend(TEXT)
    session.rollback(3)
    return np.concatenate([first, session.extend(TEXT[3:]), session.extend([5])])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_good_operator_is_used_for_all_passes(
    path: Path, dtype: Dtype, operators: Operators
) -> None:
    made = choice(path, dtype, operators)
    assert made.from_tokens == 1
    assert made.why.endswith(" from 1 token on")
    assert [tokens for tokens, *_ in made.passes] == list(LENGTHS)
    difference = np.abs(logits(path, dtype, 1) - logits(path, dtype, None)).max()
    assert difference <= operator_trial.TOLERANCE[dtype] * np.ptp(logits(path, dtype, None))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_refused_operator_is_left_alone(
    path: Path, dtype: Dtype, operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = logits(path, dtype, None)
    monkeypatch.setattr(torch, "_weight_int8pack_mm", refuse)
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    made = choice(path, dtype, operators)
    assert made.from_tokens is None
    assert "is refused (RuntimeError: this processor has no such thing)" in made.why
    assert np.array_equal(logits(path, dtype, made.from_tokens), wanted)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_lack_of_memory_is_not_held_against_an_operator(
    path: Path, operators: Operators, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", Mock(side_effect=error))
    with pytest.raises(MemoryError):
        choice(path, "fp32", operators)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_order_without_its_product_is_left_alone(
    path: Path, dtype: Dtype, operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", refuse)
    assert choice(path, dtype, operators).from_tokens is None


@pytest.mark.parametrize(("dtype", "factor"), [("fp32", 1.001), ("bf16", 1.3), ("int8", 1.3)])
def test_a_wrong_operator_is_left_alone(
    path: Path, dtype: Dtype, factor: float, operators: Operators
) -> None:
    wanted = logits(path, dtype, None)
    for operators.factor in (factor, float("nan")):
        made = choice(path, dtype, operators)
        assert made.from_tokens is None
        assert "is wrong (logits over 1 tokens are off by" in made.why
    assert np.array_equal(logits(path, dtype, made.from_tokens), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_slow_operator_is_left_alone(path: Path, dtype: Dtype, operators: Operators) -> None:
    wanted = logits(path, dtype, None)
    operators.cost = lambda _tokens: 1.06
    made = choice(path, dtype, operators)
    assert made.from_tokens is None
    assert made.why.endswith("is slower over 8 tokens")
    assert np.array_equal(logits(path, dtype, made.from_tokens), wanted)
    operators.cost = lambda _tokens: 1.04
    assert choice(path, dtype, operators).from_tokens == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_from_where_the_two_cross_the_operator_is_used(
    path: Path, dtype: Dtype, operators: Operators
) -> None:
    operators.cost = lambda tokens: 2.0 if tokens < 4 else 0.5
    made = choice(path, dtype, operators)
    assert made.from_tokens == 4
    used = []
    operators.cost = lambda tokens: float(used.append(tokens) or 0)  # type: ignore[func-returns-value]
    session = HuggingFaceModel(path, "it", dtype=dtype, operator_from=4).session()
    used.clear()
    for tokens in LENGTHS:
        session.extend([5] * tokens)
    assert set(used) == {4, 5, 8}


def test_what_is_slow_once_is_measured_again(path: Path, operators: Operators) -> None:
    """Another program may have slowed the first measurement."""
    products, slow = iter(range(10_000)), len(LENGTHS) * PRODUCTS
    busy = range(slow, slow + 5 * PRODUCTS)  # while passes over one token are timed
    operators.cost = lambda _tokens: 5.0 if next(products) in busy else 0.9
    assert choice(path, "fp32", operators).from_tokens == 1
    assert next(products) == (len(LENGTHS) + 5 * (len(LENGTHS) + 1)) * PRODUCTS


@pytest.mark.parametrize("family", ["opt", "gemma3"])
@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_networks_that_transformers_runs_are_tried_too(
    family: str, dtype: Dtype, operators: Operators, tmp_path: Path
) -> None:
    saved = save(FAMILIES[family](), tmp_path)
    assert choice(saved, dtype, operators).from_tokens == 1
    operators.cost = lambda tokens: 2.0 if tokens < 2 else 0.5
    assert choice(saved, dtype, operators).from_tokens == 2


def test_a_large_network_is_tried_by_its_first_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = FAMILIES["llama"]()
    shorten(network, "it")
    assert len(network.model.layers) == 3
    monkeypatch.setattr(operator_trial, "MOST_TRIED", 1)
    shorten(network, "it")
    assert len(network.model.layers) == 1


_EVERY_DTYPE = """
import sys
import numpy as np
from pathlib import Path
from tests.models.test_operator_trial import TEXT
from testbed.models.hf.model import HuggingFaceModel, load_network
from testbed.models.hf.backends import plain_backend
from testbed.models.operator_trial import try_operator
exact = None
for dtype in ("fp32", "bf16", "int8", "fp16"):
    path, begun = Path(sys.argv[1]), None
    if dtype != "fp16":
        backend = plain_backend(load_network(path, "it", dtype, (), "cpu"), "it", dtype, "cpu")
        begun = try_operator(backend, dtype, 56).from_tokens
    session = HuggingFaceModel(path, "it", dtype=dtype, operator_from=begun).session()
    first = session.extend(TEXT)
    session.rollback(3)
    again = session.extend(TEXT[3:])
    exact = first if exact is None else exact
    assert np.abs(first - exact).max() < 0.1 * np.ptp(exact), dtype
    assert np.abs(again - first[3:]).max() < 0.1 * np.ptp(exact), dtype
    print(dtype, begun)
"""


def test_every_dtype_loads_and_decodes_on_avx2(path: Path) -> None:
    """With oneDNN limited to fewer instruction sets, on any processor."""
    done = subprocess.run(
        [sys.executable, "-c", _EVERY_DTYPE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*DTYPES, "fp16"]
