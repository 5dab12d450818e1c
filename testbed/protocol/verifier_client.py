"""The device's end of the protocol: send rounds, receive answers, resend after reconnections.

Its methods are generators of Transmit and Receive, so that any driver can carry the messages.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import NamedTuple

from testbed import clock
from testbed.codecs.bits import NOTHING, Payload, width
from testbed.codecs.tokens import encode_tokens
from testbed.counts import Traffic
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.methods.effects import Part
from testbed.protocol.channel import Exchange, LinkTimeout, Receive, Reconnected, Transmit
from testbed.protocol.messages import (
    MAX_MESSAGE,
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

_SHORTEST = 2**16
"""The smallest number of a session: all up to 2^32 have the same size in messages."""
REPAIRS_PER_ROUND = 8
"""Resends, resyncs and re-openings in a row, without any answer, before giving up."""


class _Upload(NamedTuple):
    """The device's part of a round, for resends."""

    token_ids: list[int]
    drafts: int
    upload: Payload


class VerifierClient:
    """The messages of one generation to and from the verifier.

    A message is resent only after the connection was re-established, as TCP repairs all other
    losses. The verifier answers a repeated round with a copy, so a resend never changes the tokens.
    """

    def __init__(self, peer: str, opening: Open, timeout: float, trace: Tracer) -> None:
        """Prepare a session; opening: its first message; timeout: seconds to wait for answers.

        `peer` is the verifier's name in messages to the user.
        """
        self._peer = peer
        self._opening = opening
        self._timeout = timeout
        self._trace = trace
        self._known = 0  # tokens that the verifier has
        self._round = -1
        self._received = 0  # parts of this round's answer
        self._answered = True  # False until the last of them has been received
        self._asked = _Upload([], 0, NOTHING)
        self._since = 0.0  # when the round, or the last part of its answer, was sent or received
        self.traffic = Traffic.zero()

    def open(self, token_ids: list[int]) -> Exchange[None]:
        """Send the tokens so far, without waiting: a refusal is received in the first round."""
        # A new number each time, so that late answers to the old session are ignored.
        self._opening.session = _SHORTEST + secrets.randbelow(2**32 - _SHORTEST)
        self._opening.length = self._known = len(token_ids)
        self._received = 0
        upload = encode_tokens(token_ids, self._opening.vocabulary_size)
        yield from self._send(self._opening, upload)

    def send(self, token_ids: list[int], drafts: int, upload: Payload) -> Exchange[None]:
        """Send a round, without waiting for its answer.

        token_ids: the ids of the prompt and all committed tokens; the caller keeps it up to date
        until the answer is complete. Those that the verifier lacks are sent along. drafts: the
        number of drafted tokens in `upload`. The answer to the round before must be complete: the
        verifier would drop what is left of it, and the base of the new round be wrong.
        """
        assert self._answered, f"round {self._round} is not answered yet"
        self._answered = False
        self._round += 1
        self._received = 0
        self._asked = _Upload(token_ids, drafts, upload)
        self._since = clock.now()
        yield from self._send_round()

    def next_part(self) -> Exchange[Part]:
        """Wait for the next part of the answer to the last round, which must not be complete yet.

        Raises LinkTimeout when no answer comes, TestbedError when the verifier refuses.
        """
        assert not self._answered, f"round {self._round} is answered already"
        token_ids = self._asked.token_ids
        repairs = 0
        asked = False  # True once the missing part has been asked for again
        while True:
            try:
                message, payload = yield from self._receive()
            except Reconnected:
                message, payload = None, b""
                self._trace.event("reconnect", self._opening.stream, round=self._round)
                self.traffic.resends += 1
                asked = True
            match message:
                case Reply() if message.round == self._round:
                    if message.part == self._received:
                        self._received += 1
                        self._answered = message.last
                        self._known = message.length
                        self.traffic.verifier_s += message.busy_s
                        since, self._since = self._since, clock.now()
                        return Part(payload, message.last, self._since - since)
                    if message.part < self._received or asked:
                        continue  # a copy, or ahead of the part that was asked for again
                    asked = True
                case Resync() if message.round == self._round:
                    self._known = message.length
                    if message.length > len(token_ids):
                        # It has more tokens than the device: start again.
                        yield from self.open(token_ids)
                case Unknown() if message.round == self._round:
                    yield from self.open(token_ids)
                case None:
                    pass
                case _:
                    continue  # belongs to an earlier round
            repairs += 1
            if repairs > REPAIRS_PER_ROUND:
                raise ProtocolError(
                    f"{self._peer}: round {self._round} could not be agreed on after "
                    f"{REPAIRS_PER_ROUND} attempts"
                )
            self._trace.event("resend", self._opening.stream, round=self._round)
            yield from self._send_round()

    def close(self) -> Exchange[None]:
        """Send that the generation is finished; a connection that is down does not matter."""
        with contextlib.suppress(LinkTimeout):
            yield from self._send(Close(VERSION, self._opening.session), NOTHING)

    def _send_round(self) -> Exchange[None]:
        token_ids, drafts, upload = self._asked
        catch_up = token_ids[self._known :]
        message = Round(
            VERSION,
            self._opening.session,
            round=self._round,
            base=self._known,
            catch_up=catch_up,
            drafts=drafts,
            received=self._received,
        )
        id_bits = len(catch_up) * width(self._opening.vocabulary_size)
        yield from self._send(message, Payload(upload.data, upload.bits + id_bits))

    def _send(self, message: Message, payload: Payload) -> Exchange[None]:
        frames = to_frames(message, payload.data)
        size = sum(map(len, frames))
        if size > MAX_MESSAGE:
            raise ProtocolError(
                f"a message of {size} B is larger than {self._peer} takes, {MAX_MESSAGE} B"
            )
        self.traffic.count_sent(size, payload.bits)
        self._trace.event(
            "send",
            self._opening.stream,
            message=type(message).__name__,
            bytes=size,
            payload_bits=payload.bits,
            **round_and_part(message),
        )
        yield Transmit(frames)
        self._trace.flush()  # while they are under way

    def _receive(self) -> Exchange[tuple[Message, bytes]]:
        deadline = clock.now() + self._timeout
        while True:
            frames: list[bytes] | None = yield Receive(max(0.0, deadline - clock.now()))
            if frames is None:
                raise LinkTimeout(
                    f"{self._peer} did not answer round {self._round} within "
                    f"{self._timeout:g} s; a slow link may need a longer timeout"
                )
            message, payload = from_frames(frames)
            if message.session not in (self._opening.session, NO_SESSION):
                continue  # an answer to an earlier session
            size = sum(map(len, frames))
            self.traffic.count_received(size)
            self._trace.event(
                "receive",
                self._opening.stream,
                message=type(message).__name__,
                bytes=size,
                **round_and_part(message),
            )
            if isinstance(message, Refused):
                raise TestbedError(f"{self._peer} refused: {message.reason}")
            if not isinstance(message, Opened):
                return message, payload
