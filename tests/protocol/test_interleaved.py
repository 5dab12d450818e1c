"""Sessions whose passes are run together: the seam for a verifier that serves many in batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from testbed.events import Tracer, read_events
from testbed.methods.base import methods
from testbed.protocol import verifier_server
from testbed.protocol.device_loop import generation
from testbed.protocol.verifier_server import VerifierServer
from tests.support.together import decode_together
from tests.support.toy import PROMPT, decode_locally, similar_models, task

WITH_VERIFIER = [name for name, kind in methods().items() if kind.uses_verifier]


def stream(method: str, number: int):
    """Return a task whose draws are not those of other numbers."""
    return replace(task(method, 20), stream=f"device/{number}")


def devices(tasks, draft, trace=None):
    return [
        generation(each, PROMPT, draft, "verifier", timeout=5, trace=trace or Tracer("device"))
        for each in tasks
    ]


@pytest.mark.parametrize("method", WITH_VERIFIER)
def test_two_interleaved_sessions_are_what_each_is_alone(method):
    draft, target = similar_models(12)
    tasks = [stream(method, number) for number in range(2)]
    alone = [decode_locally(each, draft, target) for each in tasks]
    batches = []
    got = decode_together(
        VerifierServer(target),
        *devices(tasks, draft),
        batched=lambda passes: batches.append(len({id(each.passes) for each in passes})),
    )
    assert [each.tokens for each in got] == [each.tokens for each in alone]
    assert [each.counts for each in got] == [each.counts for each in alone]
    assert got[0].tokens != got[1].tokens
    assert batches.count(2) > 2


def test_sessions_of_different_methods_share_batches():
    draft, target = similar_models(12)
    tasks = [stream(method, number) for number, method in enumerate(WITH_VERIFIER)]
    alone = [decode_locally(each, draft, target).tokens for each in tasks]
    sizes = []
    server = VerifierServer(target)
    got = decode_together(
        server, *devices(tasks, draft), batched=lambda passes: sizes.append(len(passes))
    )
    assert [each.tokens for each in got] == alone
    assert max(sizes) == len(tasks)


def test_waiting_for_the_passes_of_others_is_not_computing(monkeypatch, tmp_path):
    """Between a session's request for a pass and the pass, and behind it, hours may go by."""
    time = SimpleNamespace(now=0)
    fake = SimpleNamespace(now=lambda: time.now * 1e-9, now_ns=lambda: time.now)
    monkeypatch.setattr(verifier_server, "clock", fake)
    monkeypatch.setattr("testbed.models.compute.paced_reader.clock", fake)

    def hours(passes):
        time.now += 3_600_000_000_000

    draft, target = similar_models(12)
    server = VerifierServer(target)
    server.trace = Tracer("verifier", tmp_path / "events.jsonl")
    (got,) = decode_together(server, *devices([task("dsd", 20)], draft), batched=hours)
    server.trace.close()
    assert got.traffic.verifier_s == 0
    spans = [event for event in read_events(tmp_path / "events.jsonl") if "dur" in event]
    assert {event["event"] for event in spans} >= {"verify", "forward", "decode", "encode"}
    assert sum(event["dur"] for event in spans if event["event"] in ("verify", "forward")) == 0
    assert time.now > 0


def test_work_that_was_overtaken_is_dropped():
    """A device that begins anew while its pass is run: nobody gets the old answer."""
    draft, target = similar_models(12)
    server = VerifierServer(target)
    answers = []
    for number in range(2):
        device = devices([stream("dsd", number)], draft)[0]
        opening = next(device)
        answers += server.handle(b"device", opening.frames)
    (work,) = server.ready()
    assert len(answers) == 2
    first = devices([stream("dsd", 2)], draft)[0]
    server.advance(work)
    list(server.handle(b"device", next(first).frames))
    assert server.advance(work, None) is None
    (newer,) = server.ready()
    assert newer is not work
