"""A text ends at its limit or at an end token, and nothing is emitted after that."""

from __future__ import annotations

import msgspec
import pytest

from testbed.methods.base import methods
from testbed.methods.device_only import DeviceOnly
from tests.support.laws import text_law
from tests.support.toy import (
    PLAIN,
    ToyModel,
    decode_locally,
    models,
    similar_models,
    target_law,
    task,
    with_method,
)
from tests.support.wire import decode_noting

END = 5


def agreeing() -> tuple[ToyModel, ToyModel]:
    return similar_models(12, 0.3)


def a_task(method, seed, end_tokens=(), tokens=40):
    return msgspec.structs.replace(task(method, tokens), seed=seed, end_tokens=tuple(end_tokens))


def text(method, seed, end_tokens=(), **changes):
    return decode_locally(a_task(method, seed, end_tokens, **changes), *agreeing(), prompt=(0, END))


@pytest.mark.parametrize("method", methods())
def test_an_end_token_is_the_last_one(method):
    """Wherever in a block it stands; one in the prompt ends nothing."""
    lengths = set()
    for seed in range(25):
        whole = text(method, seed).tokens
        assert len(whole) == 40
        wanted = whole[: whole.index(END) + 1] if END in whole else whole
        got = text(method, seed, [END])
        assert got.tokens == wanted
        assert len(got.times) == len(wanted)
        lengths.add(len(wanted))
    assert len(lengths) > 8  # the test has seen ends in many places


@pytest.mark.parametrize("method", methods())
def test_any_of_several_end_tokens_ends_the_text(method):
    for seed in range(10):
        whole = text(method, seed).tokens
        first = next((i for i, token in enumerate(whole) if token in (3, END)), 39)
        assert text(method, seed, [3, END]).tokens == whole[: first + 1]


def test_a_verifier_that_streams_says_that_the_end_token_is_the_last():
    got, line = decode_noting(a_task("cloud_ar", 1, [END]), *agreeing(), prompt=(0, END))
    assert got.tokens[-1] == END
    assert 1 < len(got.tokens) < 40
    last = [message.last for message, _ in line.replies]
    assert last == [False] * (len(got.tokens) - 1) + [True]


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("method", methods())
def test_the_limit_is_met_exactly(method, tokens):
    got = text(method, 3, tokens=tokens)
    assert len(got.tokens) == len(got.times) == tokens
    assert got.times == sorted(got.times)


class Generous(DeviceOnly):
    """Yields more than anybody asked for."""

    name = "generous"

    def device(self, device):
        yield from device.commit([1, 2])
        yield from device.commit([3, 4, END, 6, 7, END])


@pytest.mark.parametrize(
    ("tokens", "wanted"), [(1, [1]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4, END])]
)
def test_what_a_method_yields_too_much_is_cut_off(tokens, wanted):
    with with_method(Generous):
        assert text("generous", 0, [END], tokens=tokens).tokens == wanted


class Untouchable:
    """A channel that may not be used."""

    peer = "nobody"

    def __getattr__(self, name):
        raise AssertionError(f"device_only used {name} of its channel")


def test_device_only_never_uses_its_channel():
    got = decode_locally(task("device_only", 20), *agreeing(), channel=lambda server: Untouchable())
    assert len(got.tokens) == 20
    assert (got.traffic.up_messages, got.traffic.down_messages, got.counts.rounds) == (0, 0, 0)


def test_device_only_follows_the_law_of_the_draft():
    draft, target = models(3)
    got = text_law(task("device_only", 3), draft, target)
    assert dict(got) == pytest.approx(target_law(draft, PLAIN, 3), abs=1e-12)


@pytest.mark.parametrize("method", ["dsd", "dssd"])
def test_nothing_is_drafted_behind_an_end_token(method):
    ended = 0
    for seed in range(40):
        got = text(method, seed, [END])
        assert got.counts.accepted <= len(got.tokens)
        ended += got.tokens[-1] == END
    assert ended > 10
