"""Both models read every token of a text once: none again, and none is left out.

The last draft of a round is easily forgotten: the draft model has not read it, since nothing was
drafted after it, and must when all drafts were accepted.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from testbed.methods.base import methods
from testbed.models.cached_reader import CachedReader
from testbed.protocol.process_driver import step
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import PROMPT, ToyModel, ToySession, decode_locally, task

TOKENS = 40
CHAINS = sorted(set(methods()) - {"tslt_tree"})


class WholeTextModel(ToyModel):
    """Logits depend on every token and its position, so that a wrong cache shows."""

    def __init__(self, seed: int, sharpness: float = 1.5) -> None:
        super().__init__(6, seed)
        self.seed, self.sharpness = seed, sharpness
        self.fed: list[tuple[int, ...]] = []
        """The text up to each token that was read."""

    def after(self, text):
        rng = np.random.default_rng([self.seed, *text])
        return (self.sharpness * rng.normal(size=self.vocabulary_size)).astype(np.float32)

    def session(self):
        return Noting(self)


class Noting(ToySession):
    def extend(self, tokens, keep=None):
        before = len(self.text)
        logits = super().extend(tokens, keep)
        self.model.fed += [tuple(self.text[: end + 1]) for end in range(before, len(self.text))]
        return logits


class Forgetful(CachedReader):
    """Reads the whole text again every time."""

    def logits(self, text, keep=1):
        self._session.rollback(0)
        self.read = len(text)
        return self._session.extend(text, keep)


class Omitting(CachedReader):
    """Reads what it must answer for, and forgets whatever else is new: the classic mistake."""

    def logits(self, text, keep=1):
        known = self._common_prefix(text)
        self._session.rollback(min(known, len(text) - keep, self._session.length))
        self._cached = list(text)
        return self._session.extend(text[-keep:], keep)


class Eager(InProcessChannel):
    """The verifier has read the prompt before the first round comes, as it mostly has."""

    def send(self, frames):
        super().send(frames)
        while self._server.busy:
            self._answers.extend(answer for _, answer in step(self._server))


def pair(agree: bool) -> tuple[WholeTextModel, WholeTextModel]:
    draft, target = WholeTextModel(1), WholeTextModel(1 if agree else 2)
    return draft, target


@pytest.mark.parametrize("agree", [True, False])
@pytest.mark.parametrize("method", methods())
def test_a_cache_decides_nothing(method, agree):
    cached = decode_locally(task(method, TOKENS), *pair(agree))
    with (
        patch("testbed.protocol.device_loop.CachedReader", Forgetful),
        patch("testbed.protocol.verifier_server.CachedReader", Forgetful),
    ):
        fresh = decode_locally(task(method, TOKENS), *pair(agree))
    assert cached.tokens == fresh.tokens
    assert cached.counts == fresh.counts


def test_a_reader_that_omits_the_last_draft_would_show():
    right = decode_locally(task("dsd", TOKENS), *pair(agree=True))
    with patch("testbed.protocol.device_loop.CachedReader", Omitting):
        wrong = decode_locally(task("dsd", TOKENS), *pair(agree=True))
    assert right.counts.accepted == right.counts.drafted
    assert wrong.counts.accepted < wrong.counts.drafted


@pytest.mark.parametrize("agree", [True, False])
@pytest.mark.parametrize("method", CHAINS)
def test_nothing_is_read_twice(method, agree):
    draft, target = pair(agree)
    decode_locally(task(method, TOKENS), draft, target, channel=Eager)
    for model in (draft, target):
        assert len(set(model.fed)) == len(model.fed)
    assert len(draft.fed) + len(target.fed) >= TOKENS


def test_after_full_acceptance_the_draft_reads_what_it_has_not():
    """In every round of 4 drafts and a bonus: the bonus, the last draft before it, 3 drafts."""
    draft, target = pair(agree=True)
    got = decode_locally(task("dsd", TOKENS, draft_length=4), draft, target, channel=Eager)
    assert got.counts.accepted == got.counts.drafted
    text = [*PROMPT, *got.tokens]
    assert draft.fed == [tuple(text[: end + 1]) for end in range(len(draft.fed))]
    assert len(draft.fed) == len(text) - 2  # not the last round's last draft, nor the bonus
    assert target.fed == [tuple(text[: end + 1]) for end in range(len(text) - 1)]
