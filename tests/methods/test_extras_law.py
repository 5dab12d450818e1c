"""DSD and DSSD at every precision: exactly the law that the wire carries, in as many bits."""

from __future__ import annotations

import msgspec
import pytest

from testbed.codecs.floating import Floating
from testbed.codecs.precisions import distribution_codec
from testbed.decoding.sampling import distribution
from tests.support.laws import SAMPLINGS, round_law_error, text_law_error
from tests.support.toy import PLAIN, ToyModel, decode_locally, models, task
from tests.support.wire import decode_noting

B_P = {"fp32": 32, "fp16": 16, "bf16": 16, "fixed16": 16, "fixed32": 32}
FLOATS = ["fp32", "fp16", "bf16"]
SIZES = [(2, 3), (3, 2), (5, 2)]
by_precision = pytest.mark.parametrize("precision", FLOATS)
by_sampling = pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)


@by_precision
@by_sampling
@pytest.mark.parametrize(("v", "gamma"), SIZES)
def test_dsd_emits_the_targets_law_whatever_the_precision_of_q(v, gamma, sampling, precision):
    draft, target = ToyModel(v, 1), ToyModel(v, 2)
    the_task = task("dsd", gamma + 1, sampling, draft_length=gamma, precision=precision)
    assert round_law_error(the_task, draft, target, gamma + 1) < 1e-12


@by_precision
@by_sampling
@pytest.mark.parametrize(("v", "gamma"), SIZES)
@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_a_rounded_target_is_the_law(method, v, gamma, sampling, precision):
    draft, target = ToyModel(v, 3), ToyModel(v, 4)
    the_task = task(method, gamma + 1, sampling, draft_length=gamma, target_precision=precision)
    quantise = distribution_codec(precision).quantise
    assert round_law_error(the_task, draft, target, gamma + 1, quantise) < 1e-12


@by_precision
def test_whole_texts_over_several_rounds(precision):
    the_task = task("dssd", 4, draft_length=2, target_precision=precision)
    assert text_law_error(the_task, *models(2), distribution_codec(precision).quantise) < 1e-12


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_the_rounded_law_is_not_the_targets_own(precision):
    """The two laws that these tests tell apart differ, so that the tests can fail."""
    draft, target = ToyModel(3, 1), ToyModel(3, 2)
    the_task = task("dssd", 2, draft_length=1, target_precision=precision)
    assert round_law_error(the_task, draft, target, 2) > 1e-5


def test_rounding_p_for_the_wire_alone_is_caught(monkeypatch):
    """The verifier accepts by p; the device resamples from what arrived of it."""
    fine, coarse = distribution_codec("fp32"), distribution_codec("bf16")
    wire = coarse.quantise
    in_fp32 = fine.quantise
    monkeypatch.setattr(Floating, "quantise", lambda self, q: in_fp32(q))
    draft, target = ToyModel(5, 3), ToyModel(5, 4)  # with a residual of four tokens
    the_task = task("dssd", 2, draft_length=1, target_precision="bf16")
    for quantise in (None, in_fp32, wire):
        assert round_law_error(the_task, draft, target, 2, quantise) > 1e-5


@by_precision
def test_dsd_and_dssd_emit_the_same_text(precision):
    draft, target = ToyModel(50, 1), ToyModel(50, 2)
    texts = [
        decode_locally(
            task(name, 200, draft_length=4, target_precision=precision), draft, target
        ).tokens
        for name in ("dsd", "dssd")
    ]
    assert texts[0] == texts[1]


@by_precision
def test_a_coarse_target_stays_near(precision):
    """fp16 and bf16 keep 11 and 8 digits of a probability."""
    target, codec = ToyModel(50, 2), distribution_codec(precision)
    for a in range(50):
        p = distribution(target.after([a, a]), PLAIN)
        distance = 0.5 * abs(codec.quantise(p).probabilities - p).sum()
        assert distance < {"fp32": 2**-24, "fp16": 2**-11, "bf16": 2**-8}[precision]


@pytest.mark.parametrize("precision", B_P)
def test_dsd_sends_v_times_b_p_and_b_id_bits_a_draft(precision):
    decoded, line = decode_noting(task("dsd", 50, draft_length=3, precision=precision))
    drafted = sum(line.drafts)
    per_draft = 37 * B_P[precision] + 6
    assert decoded.traffic.up_payload_bits == 2 * 6 + drafted * per_draft
    assert decoded.counts.formula_bits == drafted * per_draft
    for drafts, up in zip(line.drafts, line.up, strict=True):
        assert len(up) == drafts * 37 * B_P[precision] // 8 + -(-drafts * 6 // 8)


@pytest.mark.parametrize("precision", B_P)
def test_dssd_answers_a_rejection_with_v_times_b_p_bits(precision):
    the_task = task("dssd", 50, draft_length=3, target_precision=precision)
    decoded, line = decode_noting(msgspec.structs.replace(the_task, seed=8))
    rejections = decoded.counts.verified - decoded.counts.accepted
    large = [len(down) for down in line.down if len(down) > 1]
    assert large == [1 + 37 * B_P[precision] // 8] * rejections
    assert 3 < rejections < len(line.down)
