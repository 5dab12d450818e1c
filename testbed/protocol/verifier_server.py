"""The verifier's end of the protocol, without sockets: messages in, messages out.

Messages are handled at once. What takes passes of the target is the work of a session: a generator
of passes and messages. A driver resumes it by `advance` with the results of the passes: session by
session, as testbed.protocol.process_driver does, or interleaved, with their passes run together.

A repeated round is answered with a copy of its answer, a round with a wrong base with Resync, a
round of an unknown session with Unknown. A damaged message is refused, and changes nothing.
"""

from __future__ import annotations

import contextlib
import traceback
from collections import deque
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from testbed import clock
from testbed.codecs.bits import NOTHING, Payload
from testbed.codecs.tokens import decode_tokens
from testbed.decoding.randomness import KeyedRandomness, Randomiser
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.methods.base import Method, method_class, parse_options
from testbed.methods.effects import Answer, Around, Effects, Pass, unchanged
from testbed.methods.verifier_context import VerifierContext
from testbed.models.base import Model, require_context
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import Passes, PassResult
from testbed.protocol.messages import (
    NO_SESSION,
    VERSION,
    Close,
    Message,
    Open,
    Opened,
    ProtocolError,
    Refused,
    Reply,
    Resync,
    Round,
    Unknown,
    from_frames,
    round_and_part,
    to_frames,
)

SessionKey = tuple[bytes, int]
"""The peer's identity and its session number."""
Steps: TypeAlias = Generator[Pass | list[bytes], Any, None]
"""Yields passes, to be resumed with PassResult, and the frames of messages to the peer."""


@dataclass(eq=False)
class Work:
    """The work of a session: its prompt's pass, then the answer to its round."""

    key: SessionKey
    steps: deque[Steps]
    """To be done one after another."""
    in_pass: Steps | None = None
    """The steps whose pass a driver is running; until its end, the work cannot go on."""


@dataclass
class Session:
    """The state of one generation at the verifier."""

    context: VerifierContext
    method: Method
    round: int = -1
    answers: list[tuple[Reply, Payload]] = field(default_factory=list)
    """The parts of the answer to the current round, for resends."""


class VerifierServer:
    """Verifies any number of generations with one target model, at its own speed or at `pace`.

    `around` is put around each method half.
    """

    def __init__(
        self,
        target: Model,
        randomiser: Randomiser = KeyedRandomness,
        pace: Pace | None = None,
        around: Around = unchanged,
    ) -> None:
        self.target = target
        self.trace = Tracer("verifier")
        self.blocked_peers: Collection[bytes] = ()
        """Peers whose queue is full; the work on their generations waits."""
        self._randomiser = randomiser
        self._pace = pace
        self._around = around
        self._sessions: dict[SessionKey, Session] = {}
        self._work: dict[SessionKey, Work] = {}

    @property
    def busy(self) -> bool:
        """True if there is work that can go on."""
        return any(map(self._can_go_on, self._work.values()))

    def ready(self) -> list[Work]:
        """Return the work that can go on, in the order of the messages that it began with.

        That of blocked peers cannot, nor can that whose pass is being run.
        """
        return [work for work in self._work.values() if self._can_go_on(work)]

    def _can_go_on(self, work: Work) -> bool:
        return work.in_pass is None and work.key[0] not in self.blocked_peers

    def handle(self, peer: bytes, frames: list[bytes]) -> Iterator[list[bytes]]:
        """Handle one message; yield the messages (as frames) to send to `peer` at once.

        The state of the session is changed before the first of them is yielded.
        """
        session = NO_SESSION
        try:
            message, payload = from_frames(frames)
            session = message.session
            yield from self._dispatch((peer, session), message, payload)
        except TestbedError as error:
            yield to_frames(Refused(VERSION, session, reason=str(error)))
        except Exception as error:  # one peer's failure must not reach the others
            yield self._failed((peer, session), error)

    def advance(
        self, work: Work, done: PassResult | Exception | None = None
    ) -> Pass | list[bytes] | None:
        """Go on with a session's work; return the pass it needs, or the frames to send.

        `done` is the result of the pass that the last call returned, or the error that it ended in.
        None is returned when the work has ended, or something newer has taken its place.
        """
        if self._work.get(work.key) is not work:
            return None
        assert (work.in_pass is None) == (done is None), "a pass ends once, and has a result"
        if work.steps and work.steps[0] is not work.in_pass:
            done = None  # of a pass for a round that a later one has overtaken
        work.in_pass = None
        while work.steps:
            steps = work.steps[0]
            try:
                needed = steps.throw(done) if isinstance(done, Exception) else steps.send(done)
            except StopIteration:
                work.steps.popleft()
                done = None
            except Exception as error:  # one session's failure must not reach the others
                return self._failed(work.key, error)
            else:
                work.in_pass = steps if isinstance(needed, Pass) else None
                return needed
        del self._work[work.key]
        return None

    def _dispatch(self, key: SessionKey, message: Message, payload: bytes) -> Iterator[list[bytes]]:
        match message:
            case Open():
                self._forget(key[0])
                yield from self._open(key, message, payload)
            case Round():
                yield from self._round(key, message, payload)
            case Close():
                self._forget(key[0])
            case _:
                raise ProtocolError("a verifier does not take this message")

    def _failed(self, key: SessionKey, error: Exception) -> list[bytes]:
        """Drop a session, whose cache may be half written; log the error, return the refusal."""
        self._sessions.pop(key, None)
        self._work.pop(key, None)
        with contextlib.suppress(Exception):  # the log's disk or the memory may be full
            traceback.print_exception(error)
        what = type(error).__name__
        if isinstance(error, OSError) and error.strerror:  # without the path: peers are strangers
            what += f": {error.strerror}"
        reason = f"internal error, {what}; the verifier's log has the traceback"
        return to_frames(Refused(VERSION, key[1], reason=reason))

    def _forget(self, peer: bytes) -> None:
        # A device works on one generation at a time, so a new one ends the one before.
        for sessions in (self._sessions, self._work):
            for key in [key for key in sessions if key[0] == peer]:
                del sessions[key]

    def _open(self, key: SessionKey, message: Open, payload: bytes) -> Iterator[list[bytes]]:
        self._sessions[key] = session = self._session(message, payload)
        self._work[key] = Work(key, deque([self._prefill(session.context, message.length)]))
        self._received(message.stream, message, payload)
        yield self._sent(message.stream, Opened(VERSION, message.session, length=message.length))

    def _session(self, message: Open, payload: bytes) -> Session:
        v = self.target.vocabulary_size
        if message.vocabulary_id != self.target.vocabulary_id or message.vocabulary_size != v:
            raise TestbedError(
                f"draft model {message.draft} and target model {self.target.name} have different "
                f"vocabularies ({message.vocabulary_size} and {v} entries)"
            )
        if not message.length:
            raise TestbedError("a prompt without tokens cannot be continued")
        if message.length >= message.limit:
            raise TestbedError(
                f"a generation of {message.length} tokens has no room for more below its limit, "
                f"{message.limit}"
            )
        if len(message.end_tokens) > v:
            raise TestbedError(f"{len(message.end_tokens)} end tokens in a vocabulary of {v}")
        require_context(self.target, message.limit)
        kind = method_class(message.method)
        if not kind.uses_verifier:
            raise TestbedError(f"method {kind.name} does not use the verifier")
        context = VerifierContext(
            token_ids=decode_tokens(payload, message.length, v),
            limit=message.limit,
            target=Passes(
                CachedReader(self.target.session()), self.trace, message.stream, self._pace
            ),
            sampling=message.sampling,
            random=self._randomiser(message.seed, message.repetition, message.stream),
            trace=self.trace,
            stream=message.stream,
            end_tokens=frozenset(message.end_tokens),
        )
        return Session(context, kind(parse_options(kind, message.options, message.method), v))

    def _round(self, key: SessionKey, message: Round, payload: bytes) -> Iterator[list[bytes]]:
        session = self._sessions.get(key)
        if session is None:
            yield to_frames(Unknown(VERSION, message.session, round=message.round))
            return
        if message.round == session.round:
            for reply, answer in session.answers[message.received :]:
                yield self._sent(session.context.stream, reply, answer)
            return  # its unfinished work goes on
        if message.round < session.round:
            return  # overtaken by a later round
        length = len(session.context.token_ids)
        if message.base != length:
            resync = Resync(VERSION, message.session, round=message.round, length=length)
            yield self._sent(session.context.stream, resync)
            return
        room = session.context.limit - length - len(message.catch_up) - 1
        if room < 0:
            raise TestbedError(
                f"a generation of {length} tokens and {len(message.catch_up)} of catch-up has no "
                f"room for more below its limit, {session.context.limit}"
            )
        if any(token >= self.target.vocabulary_size for token in message.catch_up):
            raise TestbedError(f"catch-up tokens {message.catch_up} are not all in the vocabulary")
        most = session.method.most_drafts(room)
        if message.drafts > most:
            raise TestbedError(f"{message.drafts} drafts where at most {most} can be used")
        self._received(session.context.stream, message, payload)
        # The prompt has a pass of its own even if the first round has arrived already: a pass over
        # other tokens is rounded differently, and tokens must not depend on timing.
        # An earlier round is overtaken; its pass, if one is being run, ends before another begins.
        work = self._work.setdefault(key, Work(key, deque()))
        if session.round >= 0:
            work.steps.clear()
        session.context.token_ids += message.catch_up
        session.round = session.context.round = message.round
        session.answers = []
        work.steps.append(self._answers(session, message, payload))

    def _answers(self, session: Session, message: Round, payload: bytes) -> Steps:
        """Run the method's verifier half; yield each part of its answer as a message."""
        context = session.context
        half = self._around(session.method.verifier(context, message.drafts, payload))
        part, last = 0, False
        while not last:
            try:
                start = clock.now_ns()
                answer, busy = yield from _next_answer(half)
            except (ValueError, TestbedError) as error:  # damaged upload, NaN, text too long
                yield to_frames(Refused(VERSION, message.session, reason=str(error)))
                return
            self.trace.past_span(
                "verify", context.stream, start, start + busy, round=message.round, part=part
            )
            last = answer.last
            reply = Reply(
                VERSION,
                message.session,
                round=message.round,
                part=part,
                last=last,
                length=len(context.token_ids),
                busy_s=busy * 1e-9,
            )
            session.answers.append((reply, answer.payload))
            yield self._sent(context.stream, reply, answer.payload)
            part += 1

    def _sent(self, stream: str, message: Message, payload: Payload = NOTHING) -> list[bytes]:
        frames = to_frames(message, payload.data)
        self.trace.event(
            "send",
            stream,
            message=type(message).__name__,
            bytes=sum(map(len, frames)),
            payload_bits=payload.bits,
            **round_and_part(message),
        )
        return frames

    def _received(self, stream: str, message: Message, payload: bytes) -> None:
        self.trace.event(
            "receive",
            stream,
            message=type(message).__name__,
            payload_bytes=len(payload),
            **round_and_part(message),
        )

    def _prefill(self, context: VerifierContext, length: int) -> Steps:
        """Run the target model over the first `length` tokens, mostly while the device drafts."""
        prompt = context.token_ids[:length]
        try:
            done: PassResult = yield Pass(context.target, prompt, 1, lambda logits: None)
        except (ValueError, TestbedError):
            return  # the round will fail in the same way, and report it
        self.trace.past_span("prefill", context.stream, done.began, done.ended)


def _next_answer(half: Effects[None]) -> Generator[Pass, PassResult, tuple[Answer, int]]:
    """Run a method half up to its next answer; return it, and the ns that were computed.

    They do not include the time in which passes wait for those of others.
    """
    result, busy = None, 0
    while True:
        start = clock.now_ns()
        effect = half.send(result)
        busy += clock.now_ns() - start
        if isinstance(effect, Answer):
            return effect, busy
        assert isinstance(effect, Pass), f"a verifier half cannot have {effect}"
        done = yield effect
        result, busy = done.value, busy + done.ended - done.began
