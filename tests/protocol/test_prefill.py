"""The target's passes over a generation, and so their rounding, do not depend on timing."""

from __future__ import annotations

import pytest

from testbed.protocol.process_driver import step
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import PROMPT, ToyModel, ToySession, decode_locally, similar_models, task


class Reads(ToyModel):
    """A model that records the number of tokens of each pass."""

    def __init__(self, model: ToyModel) -> None:
        self.__dict__.update(vars(model))
        self.passes: list[int] = []

    def session(self) -> ToySession:
        session = super().session()
        extend = session.extend

        def counted(tokens, keep=None):
            self.passes.append(len(tokens))
            return extend(tokens, keep)

        session.extend = counted
        return session


class Quick(InProcessChannel):
    """A channel whose verifier works as soon as a message arrives, as a process of its own does."""

    def send(self, frames):
        super().send(frames)
        while self._server.busy:
            self._answers.extend(answer for _, answer in step(self._server))


@pytest.mark.parametrize("method", ["cloud_ar", "dsd", "dssd", "gumbel"])
def test_the_prompt_is_read_by_itself_whenever_the_first_round_comes(method):
    draft, target = similar_models(12, 0.3)
    passes = []
    for channel in (InProcessChannel, Quick):
        target = Reads(target)
        got = decode_locally(task(method, 30), draft, target, channel=channel)
        assert len(got.tokens) == 30
        passes.append(target.passes)
    assert passes[0] == passes[1]
    assert passes[0][0] == len(PROMPT)
