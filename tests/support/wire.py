"""Messages between device and verifier during one generation."""

from __future__ import annotations

from testbed.protocol.messages import Open, Reply, Round, from_frames
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import decode_locally, similar_models

V, B_ID = 37, 6
"""A vocabulary that is no power of two, and the bits of an id."""


class Line(InProcessChannel):
    """Notes every opening, every round and every reply."""

    def __init__(self, server):
        super().__init__(server)
        self.openings: list[tuple[Open, bytes]] = []
        self.rounds: list[tuple[Round, bytes]] = []
        self.replies: list[tuple[Reply, bytes]] = []

    def send(self, frames):
        self._note(frames)
        super().send(frames)

    def receive(self, timeout):
        frames = super().receive(timeout)
        self._note(frames)
        return frames

    def _note(self, frames):
        message, payload = from_frames(frames)
        for kind, notes in (Open, self.openings), (Round, self.rounds), (Reply, self.replies):
            if isinstance(message, kind):
                notes.append((message, payload))

    @property
    def drafts(self) -> list[int]:
        """The number of drafts of each round."""
        return [message.drafts for message, _ in self.rounds]

    @property
    def up(self) -> list[bytes]:
        """The payload of each round."""
        return [payload for _, payload in self.rounds]

    @property
    def down(self) -> list[bytes]:
        """The payload of each reply."""
        return [payload for _, payload in self.replies]


def decode_over(line, the_task, *models, **more):
    """Decode one text over a channel of this kind; the text and the channel."""
    channels = []

    def channel(server):
        channels.append(line(server))
        return channels[0]

    decoded = decode_locally(the_task, *models, channel=channel, **more)
    assert len(decoded.tokens) == the_task.max_new_tokens or the_task.end_tokens
    return decoded, channels[0]


def decode_noting(the_task, *models, **more):
    """Decode one text, of similar models of V tokens unless others are given, over a Line."""
    return decode_over(Line, the_task, *(models or similar_models(V)), **more)
