"""Messages that no honest device sends: the verifier refuses them and goes on serving."""

from __future__ import annotations

import random
import zlib

import numpy as np
import pytest

from testbed.codecs.base import Drawn
from testbed.codecs.bits import Payload, PayloadError
from testbed.codecs.enumerative import Ranks
from testbed.codecs.mixed import Mixed
from testbed.codecs.simplex import Simplex
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.codecs.token_tree import Growth, TreeCodec
from testbed.codecs.tokens import encode_tokens
from testbed.codecs.truncated import Truncated
from testbed.decoding.sampling import Sampling
from testbed.drafting.qs_model import QsModel
from testbed.errors import TestbedError
from testbed.methods.base import methods
from testbed.methods.effects import Answer
from testbed.methods.ksqs import likeliest
from testbed.methods.qs import Qs, QsOptions
from testbed.protocol.messages import (
    CHECKSUM_SIZE,
    VERSION,
    Open,
    Refused,
    Reply,
    Round,
    from_frames,
    to_frames,
)
from testbed.protocol.process_driver import step
from testbed.protocol.verifier_server import VerifierServer
from tests.support.effects import changed
from tests.support.toy import PROMPT, ToyModel, decode_locally, models, task, with_method
from tests.support.wire import decode_noting

V, LIMIT, SESSION = 20, 32, 5
DRAFT, TARGET = models(V)


def opening(method="dsd", **changes):
    prompt = changes.pop("prompt", [0, 1])
    fields = {
        "method": method,
        "options": {},
        "sampling": Sampling(),
        "seed": 1,
        "repetition": 0,
        "stream": "device/0",
        "limit": LIMIT,
        "end_tokens": [],
        "vocabulary_id": TARGET.vocabulary_id,
        "vocabulary_size": V,
        "draft": "toy",
        "length": len(prompt),
    }
    message = Open(VERSION, SESSION, **{**fields, **changes})
    return to_frames(message, encode_tokens(prompt, V).data)


def garbled(frames, these, those):
    """Return a message with other bytes in its header, and a checksum that fits them."""
    header = frames[0][:-CHECKSUM_SIZE].replace(these, those)
    return [header + zlib.crc32(frames[1], zlib.crc32(header)).to_bytes(4, "big"), frames[1]]


def a_round(drafts, payload, base=2, catch_up=()):
    message = Round(
        VERSION, SESSION, round=0, base=base, catch_up=list(catch_up), drafts=drafts, received=0
    )
    return to_frames(message, payload)


def answers(*messages):
    server = VerifierServer(TARGET)
    got = []
    for frames in messages:
        got += server.handle(b"device", frames)
        while server.busy:
            got += [frames for _, frames in step(server)]
    return [from_frames(frames)[0] for frames in got]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (opening(seed=2**63), "<= 9223372036854775807"),
        (opening(repetition=2**64 - 1), "<= 9223372036854775807"),
        (opening("device_only"), "method device_only does not use the verifier"),
        (opening("cloud_ar", prompt=[]), "a prompt without tokens cannot be continued"),
        (opening(limit=2), "2 tokens has no room for more below its limit, 2"),
        (opening(end_tokens=[1] * (V + 1)), "21 end tokens in a vocabulary of 20"),
        (opening(stream="x" * 1001), "length <= 1000"),
        (garbled(opening(stream="xyz"), b"xyz", b"x\xffz"), "could not be read: 'utf-8' codec"),
    ],
)
def test_openings_that_cannot_be_served(frames, reason):
    refused, *_ = answers(frames, a_round(0, b""))
    assert isinstance(refused, Refused)
    assert reason in refused.reason


CHAINS = sorted(
    name for name, kind in methods().items() if "draft_length" in kind.Options.__struct_fields__
)


@pytest.mark.parametrize("method", CHAINS)
def test_more_drafts_than_the_text_has_room_for(method):
    """Some empty payloads decode as any number of drafts, and would be decoded for ever."""
    *_, refused = answers(opening(method), a_round(10**12, b"", catch_up=[3]))
    assert isinstance(refused, Refused)
    assert refused.reason == f"{10**12} drafts where at most {LIMIT - 4} can be used"


@pytest.mark.parametrize("method", ["cloud_ar", "dsd", "tslt_tree"])
def test_more_catch_up_than_the_text_has_room_for(method):
    room = LIMIT - 2 - 1
    *_, answer = answers(opening(method), a_round(0, b"", catch_up=[1] * (room + 1)))
    assert isinstance(answer, Refused)
    assert answer.reason == (
        f"a generation of 2 tokens and {room + 1} of catch-up has no room for more below its "
        "limit, 32"
    )
    *_, answer = answers(opening("cloud_ar"), a_round(0, b"", catch_up=[1] * room))
    assert isinstance(answer, Reply)
    assert answer.length == LIMIT


RANKED = Truncated(49_152, top_k=320, index="ranked")
READERS = {
    "ksqs": likeliest(64, 100, 49_152).decode,
    "qs": Qs(QsOptions(), 49_152).codec.decode,
    "qs of several": Qs(QsOptions(QsModel(), lattice=[24, 240]), 49_152).codec.decode,
    "tslt": RANKED.decode,
    "tslt_tree": lambda data, drafts: TreeCodec(RANKED, True).decode(data, drafts, [3, 2, 1], ()),
}


@pytest.mark.parametrize("decode", READERS.values(), ids=READERS)
def test_a_payload_longer_than_any_message_is_not_read(decode, monkeypatch):
    monkeypatch.setattr(Ranks, "pop", lambda self, radix: pytest.fail("it is read"))
    with pytest.raises(PayloadError, match="200000 bytes is longer than 4 drafts are"):
        decode(bytes(200_000), 4)


@pytest.mark.parametrize("total", [1, 7, 5000])
@pytest.mark.parametrize("v", [2, 37])
def test_no_message_is_taken_for_too_long(v, total):
    """The longest drafts: q uniform over half of the vocabulary, and over all of it."""
    for kept in (max(1, v // 2), v):
        codec = likeliest(kept, total, v)
        q = codec.quantise(np.full(v, 1 / v))
        drafts = [Drawn(int(q.support[q.counts.argmax()]), q)] * 9
        assert len(codec.decode(codec.encode(drafts).data, 9)) == 9


@pytest.mark.parametrize("form", [Simplex, SparseLattice])
@pytest.mark.parametrize("v", [2, 37])
def test_no_message_of_several_lattices_is_taken_for_too_long(v, form):
    codec = Mixed([form(total, v) for total in [*range(1, 64), 5000]])
    q = codec.quantise(np.full(v, 1 / v))
    drafts = [Drawn(int(q.support[0]), q)] * 9
    assert len(codec.decode(codec.encode(drafts).data, 9)) == 9


@pytest.mark.parametrize("kept", [{"top_k": 1}, {"top_k": 37}, {"top_p": 1.0}], ids=str)
@pytest.mark.parametrize("values", ["fp16", "int8"])
@pytest.mark.parametrize("v", [37, 2000])
def test_no_message_of_ranked_tokens_is_taken_for_too_long(v, values, kept):
    """Nor a tree whose candidates are all equal: as few drafts as so many candidates can be."""
    codec = Truncated(v, values=values, index="ranked", **kept)
    q = codec.quantise(np.full(v, 1 / v))
    drafts = [Drawn(int(q.support[-1]), q)] * 9
    assert len(codec.decode(codec.encode(drafts).data, 9)) == 9
    growth, branches = Growth([9, 9], ()), [9, 9]
    for node, most in growth.inner_nodes():
        growth.extend(node, q, [int(q.support[-1])] * most)
    trees = TreeCodec(codec, replacement=True)
    assert len(trees.decode(trees.encode(growth.tree).data, 2, branches, ())) == 3


@pytest.mark.parametrize("method", [name for name, kind in methods().items() if kind.uses_verifier])
def test_damage_is_answered_or_refused(method):
    """Damage past the checksum: bits flipped, bytes lost and added, other draft counts, noise."""
    decoded, line = decode_noting(task(method, LIMIT - len(PROMPT)), DRAFT, TARGET)
    text = [*PROMPT, *decoded.tokens]
    noise = random.Random(3)
    kinds = set()
    for _ in range(60):
        message, payload = noise.choice(line.rounds)
        damaged, drafts = bytearray(payload), message.drafts
        match noise.randrange(5):
            case 0 if damaged:
                damaged[noise.randrange(len(damaged))] ^= 1 << noise.randrange(8)
            case 1:
                del damaged[noise.randrange(len(damaged) + 1) :]
            case 2:
                damaged += noise.randbytes(3)
            case 3:
                drafts = noise.randrange(30)
            case _:
                damaged = bytearray(noise.randbytes(len(damaged)))
        opened = opening(method, prompt=text[: message.base])
        sent = a_round(drafts, bytes(damaged), message.base, message.catch_up)
        kinds.add(type(answers(opened, sent)[-1]))
    assert kinds <= {Refused, Reply}


# The device's end: whatever the verifier answers, the error names its cause.


class TwoParts(Qs):
    """A method that answers a round in two parts where one is expected."""

    name = "two_parts"

    def verifier(self, verifier, drafts, upload):
        half = super().verifier(verifier, drafts, upload)
        yield from changed(half, Answer, lambda answer: Answer(answer.payload, last=False))
        yield from verifier.reply(Payload(b"", 0))


def test_an_answer_in_too_many_parts_is_no_traceback():
    with (
        with_method(TwoParts),
        pytest.raises(TestbedError, match="an answer of one part arrived in 2"),
    ):
        decode_locally(task("two_parts", 5), DRAFT, TARGET)


def test_a_stream_that_ends_early_is_no_finished_text(monkeypatch):
    stop = VerifierServer._session

    def early(self, message, payload):
        message.limit = 6
        return stop(self, message, payload)

    monkeypatch.setattr(VerifierServer, "_session", early)
    with pytest.raises(TestbedError, match="verifier ended the generation after 4 of 10 tokens"):
        decode_locally(task("cloud_ar", 10), DRAFT, TARGET)


@pytest.mark.parametrize("method", ["dsd", "gumbel", "tslt_tree", "device_only"])
def test_a_draft_model_that_says_nan_is_named(method):
    broken = ToyModel(V, 1)
    broken.table[:] = np.nan
    with pytest.raises(TestbedError, match="draft model, after 2 tokens: logits hold NaN"):
        decode_locally(task(method, 5), broken, TARGET)
