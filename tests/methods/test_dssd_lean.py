"""DSSD with a compressed downlink: DSSD's text in fewer bits."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.codecs.bits import BitReader
from testbed.codecs.fixed_point import FixedPoint
from testbed.decoding.sampling import Sampling
from testbed.methods.base import parse_options
from testbed.methods.dssd import Dssd
from testbed.methods.dssd_lean import DssdLean
from tests.support.laws import SAMPLINGS, round_law_error, text_law_error
from tests.support.options import refusal
from tests.support.toy import ToyModel, models, task
from tests.support.wire import decode_noting

FORMS = ["entropy", "sparse"]
PRECISIONS = ["fixed16", "fixed32"]
by_form = pytest.mark.parametrize("form", FORMS)
by_precision = pytest.mark.parametrize("precision", PRECISIONS)


@by_form
@by_precision
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(2, 3), (3, 2), (5, 2)])
def test_the_law_is_what_the_wire_carries(v, gamma, sampling, precision, form):
    options = {"draft_length": gamma, "target_precision": precision, "form": form}
    the_task = task("dssd_lean", gamma + 1, sampling, **options)
    quantise = FixedPoint(precision).quantise
    assert round_law_error(the_task, ToyModel(v, 3), ToyModel(v, 4), gamma + 1, quantise) < 1e-12


@by_form
def test_whole_texts_over_several_rounds(form):
    the_task = task("dssd_lean", 4, draft_length=2, form=form)
    assert text_law_error(the_task, *models(2), FixedPoint("fixed16").quantise) < 1e-12


class Steep(ToyModel):
    """Most of a large vocabulary next to impossible, as with language models."""

    def __init__(self, vocabulary_size, seed, shift=0.0):
        super().__init__(3, 1)
        self.shift = shift
        self.name, self.vocabulary_size = f"steep-{seed}", vocabulary_size
        self.vocabulary_id = f"steep-{vocabulary_size}"
        rng = np.random.default_rng(0)
        self.rows = rng.normal(scale=4, size=(16, vocabulary_size)).astype(np.float32)
        self.noise = rng.normal(size=(16, vocabulary_size)).astype(np.float32)

    def after(self, text):
        row = (7 * text[-1] + text[-2]) % 16
        return self.rows[row] + self.shift * self.noise[row]


STEEP = Steep(1000, 1, shift=1.5), Steep(1000, 2)


@by_form
@by_precision
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7, top_p=0.9)], ids=str)
def test_the_text_and_the_uplink_are_dssds_and_the_downlink_is_smaller(form, precision, sampling):
    options = {"draft_length": 3, "target_precision": precision}
    plain, plain_line = decode_noting(task("dssd", 60, sampling, **options), *STEEP)
    lean, line = decode_noting(task("dssd_lean", 60, sampling, form=form, **options), *STEEP)
    assert lean.tokens == plain.tokens
    assert lean.counts == plain.counts
    assert line.up == plain_line.up
    rejections = 0
    for drafts, down, plain_down in zip(line.drafts, line.down, plain_line.down, strict=True):
        bits = drafts.bit_length()  # ⌈log2(γ + 1)⌉
        accepted = BitReader(down).read(bits)
        assert accepted == BitReader(plain_down).read(bits)
        if accepted == drafts:
            assert down == plain_down
            continue
        rejections += 1
        assert len(plain_down) == 1 + 1000 * FixedPoint(precision).bits // 8
        whole = BitReader(plain_down[1:])
        entries = np.count_nonzero(FixedPoint(precision).read(whole, 1000).counts)
        sparse = -(-(bits + 10 + entries * (10 + FixedPoint(precision).bits)) // 8)
        assert len(down) == sparse if form == "sparse" else len(down) < len(plain_down) / 1.4
    assert rejections > 5


def test_both_forms_carry_the_same_and_entropy_is_the_smaller():
    received = {}
    for form in FORMS:
        decoded, line = decode_noting(task("dssd_lean", 60, draft_length=3, form=form), *STEEP)
        received[form] = (decoded.tokens, sum(map(len, line.down)))
    assert received["entropy"][0] == received["sparse"][0]
    assert received["entropy"][1] < 0.6 * received["sparse"][1]


def test_temperature_0_costs_next_to_nothing():
    for form in FORMS:
        _, line = decode_noting(task("dssd_lean", 60, Sampling(temperature=0), form=form), *STEEP)
        assert max(map(len, line.down)) <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "zip"}, "x.form: 'zip': choose from entropy, sparse"),
        ({"target_precision": "fp16"}, "x.target_precision: 'fp16': choose from fixed16, fixed32"),
        ({"draft_length": 0}, "x.draft_length: 0: expected `int` >= 1"),
        ({"top_k": 3}, "x.top_k: unknown key; allowed are "),
    ],
)
def test_bad_options_are_refused(options, message):
    assert refusal("dssd_lean", options).startswith(message)


def test_it_differs_from_dssd_in_the_codec_alone():
    assert (DssdLean.device, DssdLean.verifier) == (Dssd.device, Dssd.verifier)
    assert parse_options(DssdLean, {}, "x").form == "entropy"
