"""One q̂ up on a rejection: exactly the target's law, whatever happens between the two messages."""

from __future__ import annotations

from math import ceil, comb, log2

import msgspec
import numpy as np
import pytest

from testbed.codecs.bits import BitReader, BitWriter, PayloadError
from testbed.codecs.enumerative import Ranks
from testbed.codecs.scalars import CountCodec
from testbed.codecs.tokens import encode_tokens
from testbed.decoding.lattice import Lattice
from testbed.errors import TestbedError
from testbed.methods import dssd_lazy
from testbed.methods.dssd_lazy import DssdLazy
from testbed.protocol.messages import Round, from_frames, to_frames
from testbed.transport.in_process import InProcessChannel
from tests.support.laws import SAMPLINGS, text_law_error
from tests.support.options import refusal
from tests.support.toy import PROMPT, ToyModel, decode_locally, similar_models, task, with_method
from tests.support.wire import B_ID, Line, V, decode_noting, decode_over


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("v", "gamma"), [(2, 2), (2, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize(("top_k", "lattice"), [(1, 1), (2, 5), (2, 100)])
def test_whole_texts_follow_the_target(v, gamma, top_k, lattice, sampling):
    """Every path of both messages of every round; q̂ is coarse, and much of p lies outside of it."""
    tokens = 4 if v == 2 else 3
    options = {"draft_length": gamma, "top_k": top_k, "lattice": lattice}
    the_task = task("dssd_lazy", tokens, sampling, **options)
    assert text_law_error(the_task, ToyModel(v, 3), ToyModel(v, 4)) < 1e-12


@pytest.mark.parametrize("lattice", [7, 100])
def test_whole_texts_with_residuals_of_several_tokens(lattice):
    the_task = task("dssd_lazy", 3, draft_length=2, top_k=3, lattice=lattice)
    assert text_law_error(the_task, ToyModel(5, 3), ToyModel(5, 4)) < 1e-12


class Forgetful(InProcessChannel):
    """The verifier is restarted between the two messages, each time."""

    forgotten = -1

    def send(self, frames):
        message, payload = from_frames(frames)
        if isinstance(message, Round) and payload and message.drafts == 0:
            if message.round != self.forgotten:
                self._server._sessions.clear()
                self._server._work.clear()
            self.forgotten = message.round
        super().send(frames)


def test_the_law_holds_when_p_must_be_read_again():
    draft, target = ToyModel(3, 3), ToyModel(3, 4)
    the_task = task("dssd_lazy", 3, draft_length=2, top_k=2, lattice=5)
    assert text_law_error(the_task, draft, target, channel=Forgetful) < 1e-12


# Negative controls.


class Bonus(DssdLazy):
    """Takes the second message for a first one without drafts: draws from p, not the residual."""

    name = "bonus"

    def _resample(self, verifier, q):
        p = yield from verifier.read([])
        yield from verifier.reply(encode_tokens([self._emit(verifier, p(0))], 5))


class Other(DssdLazy):
    """Sends another q̂ than the one that was drawn from, as if it had been rounded again."""

    name = "other"

    def _written(self, q):
        left = q.counts.copy()
        left[left.argmax()] -= 1
        left[left.argmin()] += 1
        return super()._written(Lattice(left, q.total, q.support, q.vocabulary_size))

    def _read(self, upload):
        ranks = Ranks(upload)
        return self._codec.pop_lattice(ranks)


@pytest.mark.parametrize("method", [Bonus, Other])
def test_broken_methods_are_caught(method):
    with with_method(method):
        the_task = task(method.name, 2, draft_length=1, top_k=3, lattice=5)
        assert text_law_error(the_task, ToyModel(5, 3), ToyModel(5, 4)) > 1e-3


# On the wire.

TOKENS = 60


@pytest.mark.parametrize(("top_k", "lattice", "b_s"), [(4, 100, 7), (37, 64, 6), (1, 1, 0)])
@pytest.mark.parametrize("gamma", [1, 3, 6])
def test_bits_on_the_wire(gamma, top_k, lattice, b_s):
    options = {"draft_length": gamma, "top_k": top_k, "lattice": lattice}
    decoded, line = decode_noting(task("dssd_lazy", TOKENS, **options))
    formula = log2(comb(V, top_k)) + log2(comb(lattice + top_k - 1, top_k - 1))
    up_bits, drafted, accepted, rejections, asked = len(PROMPT) * B_ID, 0, 0, 0, False
    for (message, up), down in zip(line.rounds, line.down, strict=True):
        assert message.catch_up == []  # the verifier has drawn or accepted every token
        if asked:
            assert message.drafts == 0
            assert formula <= len(up) * 8 < formula + 8 + 8  # the coder's, and to the whole byte
            assert len(down) == 1  # an id of six bits
            asked = False
            continue
        drafts = message.drafts
        up_bits += drafts * (B_ID + b_s)
        assert len(up) == ceil(drafts * (B_ID + b_s) / 8)
        stood = BitReader(down).read(ceil(log2(drafts + 1)))
        asked = stood < drafts
        assert len(down) == ceil((ceil(log2(drafts + 1)) + (0 if asked else B_ID)) / 8)
        drafted, accepted, rejections = drafted + drafts, accepted + stood, rejections + asked
    assert rejections > 3
    assert 0 < accepted < drafted
    second = decoded.traffic.up_payload_bits - up_bits
    assert rejections * formula - 1e-6 <= second <= rejections * (formula + 8)
    counts = decoded.counts
    assert (counts.drafted, counts.accepted) == (drafted, accepted)
    assert counts.verified == accepted + rejections
    assert counts.rounds == len(line.rounds)
    assert counts.rounds == TOKENS - accepted + rejections  # each verdict ends in one token
    wanted = drafted * (B_ID + b_s) + rejections * formula
    assert counts.formula_bits == pytest.approx(wanted)


def test_less_than_a_kilobit_takes_the_place_of_a_vocabulary():
    method = DssdLazy(DssdLazy.Options(), 49_152)
    q = np.random.default_rng(0).dirichlet(np.full(49_152, 0.01))
    payload = method._written(method._codec.quantise(q)).payload()
    assert 0 <= payload.bits - log2(comb(49_152, 64)) - log2(comb(163, 63)) < 8
    assert payload.bits < 49_152 * 16 / 900


def test_p_is_not_read_again_while_the_session_lasts(monkeypatch):
    """One forward pass a verdict: the second message is answered from what the first one left."""
    passes = []
    monkeypatch.setattr(
        dssd_lazy.VerifierContext,
        "read",
        _noting(dssd_lazy.VerifierContext.read, passes),
    )
    decoded, line = decode_noting(task("dssd_lazy", TOKENS, draft_length=3))
    second = decoded.counts.verified - decoded.counts.accepted
    assert second > 3
    assert len(passes) == len(line.rounds) - second


def _noting(call, passes):
    def noting(self, drafts):
        passes.append(len(drafts))
        return call(self, drafts)

    return noting


def test_a_verifier_that_forgets_between_the_messages_reads_the_text_again():
    the_task = task("dssd_lazy", TOKENS, draft_length=3)
    wanted, plain = decode_noting(the_task)

    class Both(Forgetful, Line):
        pass

    got, line = decode_over(Both, the_task, *similar_models(V))
    assert got.tokens == wanted.tokens
    assert got.counts == wanted.counts
    second = got.counts.verified - got.counts.accepted
    assert (len(plain.openings), len(line.openings)) == (1, 1 + second)


def test_a_text_ends_with_a_round_without_drafts():
    """Its first message is empty, which the verifier must not take for a q̂."""
    for tokens in (1, 2, 3):
        the_task = task("dssd_lazy", tokens, draft_length=1)
        _, line = decode_noting(the_task)
        if tokens == 1:
            assert [(m.drafts, up) for m, up in line.rounds] == [(0, b"")]
    the_task = task("dssd_lazy", 1)
    assert text_law_error(the_task, ToyModel(3, 1), ToyModel(3, 2)) < 1e-12


@pytest.mark.parametrize("cut", [slice(0, -1), slice(1, None)])
def test_a_damaged_second_message_is_refused(cut):
    class Cutting(InProcessChannel):
        def send(self, frames):
            message, payload = from_frames(frames)
            if isinstance(message, Round) and not message.drafts and payload:
                frames = to_frames(message, payload[cut])
            super().send(frames)

    the_task = task("dssd_lazy", 60, top_k=5)
    with pytest.raises(TestbedError, match="refused: payload of"):
        decode_locally(the_task, *similar_models(V), channel=Cutting)


def test_a_second_message_that_no_device_writes_is_refused():
    method = DssdLazy(DssdLazy.Options(top_k=3, lattice=10), V)
    q = method._codec.quantise(np.random.default_rng(1).dirichlet(np.full(V, 0.3)))
    payload = method._written(q).payload()
    got = method._read(payload.data)
    assert (got.counts.tolist(), got.support.tolist()) == (q.counts.tolist(), q.support.tolist())
    messages = comb(V, 3) * comb(12, 2)
    for number in (4 * messages, 2 ** (len(payload.data) * 8) - 1):
        with pytest.raises(PayloadError, match="rank out of range"):
            method._read(number.to_bytes(len(payload.data), "big"))
    with pytest.raises(PayloadError, match="payload of 4 bytes; such a message has 3"):
        method._read(b"\0" + payload.data)


def test_counts_from_1_to_the_denominator():
    for total, bits in ((1, 0), (2, 1), (5, 3), (100, 7), (128, 7)):
        codec = CountCodec(total)
        assert codec.bits == bits
        for count in range(1, total + 1):
            q = Lattice.dense(np.array([total - count, count]), total)
            writer = BitWriter()
            codec.write_scalar(writer, q, 1)
            payload = writer.payload()
            assert payload.bits == bits
            assert codec.read_scalar(BitReader(payload.data)) == q.probability(1) == count / total
    with pytest.raises(ValueError, match="token 1 has probability 0"):
        codec.write_scalar(BitWriter(), Lattice.dense(np.array([128, 0]), 128), 1)
    with pytest.raises(PayloadError, match="arrived with probability 6/5"):
        CountCodec(5).read_scalar(BitReader(b"\xa0"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "x.top_k: 0: expected `int` >= 1"),
        ({"lattice": 0}, "x.lattice: 0: expected `int` >= 1"),
        ({"draft_length": 0}, "x.draft_length: 0: expected `int` >= 1"),
        ({"precision": "fixed16"}, "x.precision: unknown key; allowed are draft_length, top_k, l"),
    ],
)
def test_bad_options_are_refused(options, message):
    assert refusal("dssd_lazy", options).startswith(message)


def test_more_tokens_than_there_are_cannot_be_kept():
    options = msgspec.convert({"top_k": 38}, DssdLazy.Options)
    with pytest.raises(TestbedError, match="top_k is 38; it must be at most the vocabulary's 37"):
        DssdLazy(options, V)
