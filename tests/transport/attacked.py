"""nodes.base_station with one cure left out, for the tests of attacks.

    python -m tests.transport.attacked CURE ARGUMENTS

Its target model fails for one prompt. The cure that CURE names is left out, so that a test can show
that it fails without it. Heartbeats are frequent, so that failures at a heartbeat show soon.
"""

from __future__ import annotations

import sys

import zmq

from nodes import verifier
from nodes.arguments import run
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport import zmq_client, zmq_server

SOON = 0.3
"""Seconds between heartbeats."""
CURSED = [13, 13]
"""The first tokens of a prompt for which the target fails."""
load, harden, open_session = verifier.load_warm, zmq_server.harden, VerifierServer._session


def load_cursed(*arguments):
    target = load(*arguments)
    session = target.session

    def cursed():
        text = session()
        extend = text.extend

        def fail(tokens, keep=None):
            if text.length == 0 and list(tokens[: len(CURSED)]) == CURSED:
                raise RuntimeError("CUDA out of memory")
            return extend(tokens, keep)

        text.extend = fail
        return text

    target.session = cursed
    return target


def with_heartbeats(socket, timeout):
    socket.heartbeat_ivl = zmq_client.milliseconds(SOON)


def with_limited_queue(socket):
    harden(socket)
    socket.rcvhwm = 1000


def waiting_for_room(self, peer, answers, frames=None):
    self._socket.sndtimeo = 5000
    for each in answers:
        try:
            self._socket.send_multipart([peer, *each])
        except zmq.ZMQError:
            return


def ending_with_one_text(self, key, error):
    raise error


def without_limit(self, message, payload):
    session = open_session(self, message, payload)
    session.context.limit = 1 << 20
    return session


CURES = {
    "nothing": (verifier, "load_warm", load_cursed),
    "heartbeats": (zmq_server, "detect_dead_peers", with_heartbeats),
    "queue": (zmq_server, "harden", with_limited_queue),
    "room": (zmq_server.ZmqVerifier, "_send", waiting_for_room),
    "failure": (VerifierServer, "_failed", ending_with_one_text),
    "limit": (VerifierServer, "_session", without_limit),
}

if __name__ == "__main__":
    zmq_client.HEARTBEAT = SOON
    verifier.load_warm = load_cursed
    setattr(*CURES[sys.argv.pop(1)])
    run(lambda: verifier.main("base_station", __doc__))
