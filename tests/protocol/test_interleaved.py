"""Sessions whose passes are run together: the seam for a verifier that serves many in batches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from testbed.events import Tracer, read_events
from testbed.methods.base import methods
from testbed.methods.effects import Pass
from testbed.protocol import verifier_server
from testbed.protocol.device_loop import generation
from testbed.protocol.messages import VERSION, Close, from_frames, to_frames
from testbed.protocol.verifier_server import VerifierServer
from tests.support.together import at_once, decode_together
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


def opened(server, method: str, number: int = 0):
    """Return the first round's message of a device whose opening the server has handled."""
    device = devices([stream(method, number)], similar_models(12)[0])[0]
    needed = next(device)
    list(server.handle(b"device", needed.frames))
    needed = device.send(None)
    while isinstance(needed, Pass):
        needed = device.send(at_once(needed))
    return device, needed.frames


def answers(server, work):
    """Run one session's work to its end; return what is sent."""
    sent, needed = [], server.advance(work)
    while needed is not None:
        if isinstance(needed, list):
            sent.append(from_frames(needed))
        needed = server.advance(work, at_once(needed) if isinstance(needed, Pass) else None)
    return sent


def renumbered(frames, **changes):
    message, payload = from_frames(frames)
    return to_frames(replace(message, **changes), payload)


def test_work_whose_pass_is_run_is_not_handed_out_again():
    server = VerifierServer(similar_models(12)[1])
    opened(server, "dsd")
    (work,) = server.ready()
    needed = server.advance(work)
    assert isinstance(needed, Pass)
    assert not server.ready()
    assert not server.busy
    with pytest.raises(AssertionError, match="a pass ends once"):
        server.advance(work)
    assert server.advance(work, at_once(needed)) is None
    with pytest.raises(AssertionError, match="a pass ends once"):
        _, frames = opened(server, "dsd")
        list(server.handle(b"device", frames))
        server.advance(server.ready()[0], at_once(needed))


@pytest.mark.parametrize("begun", [False, True], ids=["before its pass", "during its pass"])
@pytest.mark.parametrize("method", WITH_VERIFIER)
def test_a_round_may_arrive_before_the_prompt_was_read(method, begun):
    """The prompt keeps a pass of its own, whatever arrives meanwhile; the answer is the same."""
    target = similar_models(12)[1]
    patient = VerifierServer(target)
    _, frames = opened(patient, method)
    answers(patient, patient.ready()[0])
    list(patient.handle(b"device", frames))
    wanted = answers(patient, patient.ready()[0])

    server = VerifierServer(target)
    _, frames = opened(server, method)
    (work,) = server.ready()
    needed = server.advance(work) if begun else None
    list(server.handle(b"device", frames))
    if begun:
        assert len(needed.sequence) == len(PROMPT)
        needed = server.advance(work, at_once(needed))
        assert isinstance(needed, Pass)
        answer = server.advance(work, at_once(needed))
        got = [from_frames(answer), *answers(server, work)]
    else:
        got = answers(server, work)
    assert [payload for _, payload in got] == [payload for _, payload in wanted]
    assert [message.length for message, _ in got] == [message.length for message, _ in wanted]


def test_a_round_asked_again_during_its_pass_is_answered_once():
    server = VerifierServer(similar_models(12)[1])
    _, frames = opened(server, "dsd")
    answers(server, server.ready()[0])
    list(server.handle(b"device", frames))
    (work,) = server.ready()
    needed = server.advance(work)
    assert list(server.handle(b"device", frames)) == []
    answer = server.advance(work, at_once(needed))
    assert isinstance(answer, list)
    assert answers(server, work) == []
    assert list(server.handle(b"device", frames)) == [answer]


@pytest.mark.parametrize("failed", [False, True], ids=["the pass ends", "the pass fails"])
def test_a_round_that_overtakes_another_waits_for_its_pass(failed):
    """A session never has two passes at once, and the overtaken round is not answered."""
    target = similar_models(12)[1]
    server = VerifierServer(target)
    _, frames = opened(server, "dsd")
    answers(server, server.ready()[0])
    list(server.handle(b"device", frames))
    (work,) = server.ready()
    overtaken = server.advance(work)
    list(server.handle(b"device", renumbered(frames, round=1)))
    assert not server.ready()
    done = ValueError("of the overtaken round") if failed else at_once(overtaken)
    needed = server.advance(work, done)
    assert isinstance(needed, Pass)
    message, _ = from_frames(server.advance(work, at_once(needed)))
    assert message.round == 1
    assert message.length > len(PROMPT)
    assert answers(server, work) == []
    assert not server.busy


def test_a_session_that_ended_during_its_pass_leaves_nothing_behind():
    server = VerifierServer(similar_models(12)[1])
    _, frames = opened(server, "dsd")
    (work,) = server.ready()
    needed = server.advance(work)
    message, _ = from_frames(frames)
    list(server.handle(b"device", to_frames(Close(VERSION, message.session))))
    assert server.advance(work, at_once(needed)) is None
    assert not server.busy
    assert server.ready() == []


def test_a_failing_pass_ends_its_session_alone(capsys):
    draft, target = similar_models(12)
    server = VerifierServer(target)
    list(server.handle(b"other", next(devices([stream("dsd", 1)], draft)[0]).frames))
    opened(server, "dsd")
    other, work = server.ready()
    needed = server.advance(work)
    message, _ = from_frames(server.advance(work, RuntimeError("out of order")))
    assert message.reason.startswith("internal error, RuntimeError")
    assert server.ready() == [other]
    assert server.advance(work, at_once(needed)) is None
    assert "out of order" in capsys.readouterr().err
