"""Logits to probabilities: as transformers does it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from testbed.decoding.sampling import Sampling, distribution


def by_transformers(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    warpers = LogitsProcessorList()
    if sampling.temperature != 1:
        warpers.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    scores = torch.tensor(logits, dtype=torch.float64)[None]
    return torch.softmax(warpers(None, scores), -1)[0].numpy()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.3),
        Sampling(temperature=2.5),
        Sampling(top_k=1),
        Sampling(top_k=7),
        Sampling(top_k=1000),
        Sampling(top_p=0.05),
        Sampling(top_p=0.9),
        Sampling(temperature=0.7, top_k=40, top_p=0.95),
        Sampling(temperature=1.4, top_k=5, top_p=0.6),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [2, 50, 999])
def test_equals_transformers(size, sampling):
    rng = np.random.default_rng(size)
    for _ in range(10):
        logits = rng.normal(scale=3, size=size).astype(np.float32)
        got = distribution(logits, sampling)
        wanted = by_transformers(logits, sampling)
        assert got.dtype == np.float64
        assert ((got > 0) == (wanted > 0)).all()
        assert got == pytest.approx(wanted, abs=1e-13)


def test_temperature_0_puts_all_on_the_lowest_of_the_likeliest_ids():
    logits = np.array([1.0, 3.0, -np.inf, 3.0, 2.0], np.float32)
    for sampling in (Sampling(temperature=0), Sampling(temperature=0, top_k=3, top_p=0.5)):
        assert distribution(logits, sampling).tolist() == [0, 1, 0, 0, 0]


def test_a_tiny_temperature_neither_overflows_nor_underflows():
    logits = np.array([5.0, 100.0, 99.0], np.float32)
    for temperature in (1e-300, 5e-324):
        with np.errstate(all="raise", under="ignore"):
            assert distribution(logits, Sampling(temperature)).tolist() == [0, 1, 0]


def test_ties_with_the_kth_logit_stay():
    logits = np.array([2.0, 1.0, 1.0, 1.0, 0.0], np.float32)
    got = distribution(logits, Sampling(top_k=2))
    assert (got > 0).tolist() == [True, True, True, True, False]
    assert got[1] == got[2] == got[3]


@pytest.mark.parametrize(("top_p", "kept"), [(1e-300, 1), (0.01, 2), (0.5, 64), (0.501, 65)])
def test_top_p_keeps_the_token_that_reaches_it_and_the_lowest_ids_of_a_tie(top_p, kept):
    likely = np.random.default_rng(0).permutation(1000)[:128]
    logits = np.full(1000, -np.inf)
    logits[likely] = 3.0
    got = distribution(logits, Sampling(top_p=top_p))
    assert np.flatnonzero(got).tolist() == sorted(likely)[:kept]


def test_top_p_counts_the_mass_that_top_k_left():
    logits = np.log(np.array([0.3, 0.3, 0.2, 0.1, 0.1]))
    # The first two have 0.6 of everything, and 0.75 of what the first three have.
    got = distribution(logits, Sampling(top_k=3, top_p=0.7))
    assert (got > 0).tolist() == [True, True, False, False, False]


def test_a_logit_of_minus_infinity_is_probability_0():
    got = distribution(np.array([0.0, -np.inf, 0.0]), Sampling(top_p=0.9))
    assert got.tolist() == [0.5, 0, 0.5]


def test_the_logits_are_left_alone():
    logits = np.arange(5.0)
    distribution(logits, Sampling(temperature=0.5, top_k=2, top_p=0.5))
    assert logits.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize(
    "bad", [[0.0, np.nan], [np.inf, 0.0], [-np.inf, -np.inf], [np.nan, -np.inf]]
)
def test_logits_without_a_distribution_are_refused(bad, temperature):
    with pytest.raises(ValueError, match=r"NaN, \+inf or nothing but -inf"):
        distribution(np.array(bad), Sampling(temperature=temperature))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be finite and 0 or more"),
        ({"temperature": float("inf")}, "temperature is inf; it must be finite and 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, r"top_k is -1; it must be 0 \(off\) or more"),
        ({"top_p": 0}, r"top_p is 0; it must be above 0 and at most 1 \(off\)"),
        ({"top_p": 1.01}, "top_p is 1.01; it must be above 0"),
        ({"top_p": float("nan")}, "top_p is nan"),
    ],
)
def test_impossible_settings_are_refused_with_what_is_allowed(values, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**values)
