"""A target that fails for one generation: the others go on, and the log has the reason."""

from __future__ import annotations

import pytest

from testbed.errors import TestbedError
from testbed.protocol.messages import Refused, Reply, Unknown, from_frames
from testbed.protocol.process_driver import step
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel
from tests.protocol.test_refusals import V, a_round, opening
from tests.support.toy import ToyModel, decode_locally, models, task

DRAFT, TARGET = models(V)


class Failing(ToyModel):
    """A model that fails at one token, or when a session begins."""

    def __init__(self, error: BaseException, token: int | None) -> None:
        self.__dict__.update(vars(TARGET))
        self.error, self.token = error, token

    def after(self, text):
        if text[-1] == self.token:
            raise self.error
        return super().after(text)

    def session(self):
        if self.token is None:
            raise self.error
        return super().session()


def served(server: VerifierServer, *messages: tuple[bytes, list[bytes]]):
    """Return the answers to each peer, as (peer, message)."""
    got = []
    for peer, frames in messages:
        got += [(peer, answer) for answer in server.handle(peer, frames)]
        while server.busy:
            got += step(server)
    return [(peer, from_frames(answer)[0]) for peer, answer in got]


@pytest.mark.parametrize(
    "failure",
    [
        (RuntimeError("out of memory"), "RuntimeError"),
        (MemoryError(), "MemoryError"),
        (OSError(28, "No space left on device", "/secret"), "OSError: No space left on device"),
    ],
)
@pytest.mark.parametrize(
    ("prompt", "catch_up", "token"),
    [([0, 19], [], 19), ([0, 1], [19], 19), ([0, 1], [], None)],
    ids=["prompt", "round", "opening"],
)
def test_a_failure_ends_one_text(failure, prompt, catch_up, token, capsys):
    error, what = failure
    server = VerifierServer(Failing(error, token))
    ask = a_round(0, b"", catch_up=catch_up)
    got = served(server, (b"a", opening(prompt=prompt)), (b"a", ask), (b"a", ask))
    refused, *later = [each for _, each in got if isinstance(each, Refused | Unknown)]
    assert isinstance(refused, Refused)
    assert refused.reason == f"internal error, {what}; the verifier's log has the traceback"
    assert later  # the text is gone
    assert all(isinstance(each, Unknown) for each in later)
    log = capsys.readouterr().err
    assert log.startswith("Traceback")
    assert f"{type(error).__name__}" in log.splitlines()[-1]
    assert not server._sessions


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("token", [19, None])
def test_who_ends_the_process_ends_it(error, token):
    with pytest.raises(type(error)):
        served(VerifierServer(Failing(error, token)), (b"a", opening(prompt=[0, 19])))


def test_the_device_is_told_and_others_go_on():
    server = VerifierServer(Failing(RuntimeError("out of memory"), 19))
    served(server, (b"other", opening()))
    with pytest.raises(TestbedError, match="refused: internal error, RuntimeError"):
        decode_locally(
            task("dsd", 8), DRAFT, TARGET, channel=lambda _: InProcessChannel(server), prompt=(19,)
        )
    (_, reply), *_ = served(server, (b"other", a_round(0, b"")))
    assert isinstance(reply, Reply)
