"""Build one wire inside a sandbox and send frames through it.

    python -m testbed.emulation.wire_probe BACKEND

It runs in a sandbox, and prints a wire_trial.Report as JSON. It uses the same parts as a run: veth
pairs, their offloads, mnexec and the backend itself.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import time

import msgspec

from testbed.emulation.backend import open_wire
from testbed.emulation.ethernet import create_pair
from testbed.emulation.namespace import Namespace
from testbed.emulation.sandbox import enter
from testbed.emulation.wire import PORT_A, PORT_B
from testbed.emulation.wire_trial import Report
from testbed.errors import TestbedError
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.realtime import PATIENCE
from testbed.links.spec import Duplex, LinkSpec

_NEAR, _FAR = "near", "far"  # the interfaces at the two ends of the wire
_ETHERTYPE = 0x88B5  # IEEE 802's for experiments: nothing else sends it
_FRAME = b"\xff" * 6 + b"\2\0\0\0\0\1" + _ETHERTYPE.to_bytes(2, "big") + bytes(46)
_FRAMES = 50
_PAUSE = 1e-3  # seconds between frames, so that the relay sleeps as it does in a run


def probe(backend: str) -> Report:
    """Build a wire, measure the delay of frames through it, and take it down."""
    inside = Namespace("the trial", os.getpid())
    create_pair(inside, _NEAR, inside, PORT_A)
    create_pair(inside, PORT_B, inside, _FAR)
    wire = open_wire(backend, "trial", inside, Duplex(LinkSpec(), LinkSpec()), seed=0)
    try:
        delay = _median_delay(backend)
        return Report(bool(wire.state()["realtime"]), delay)
    finally:
        wire.stop()


def _median_delay(backend: str) -> float:
    delays = []
    with _raw_socket(_NEAR) as sender, _raw_socket(_FAR) as receiver:
        receiver.settimeout(PATIENCE)
        for _ in range(_FRAMES):
            began = time.monotonic()
            sender.send(_FRAME)
            try:
                receiver.recv(len(_FRAME))
            except TimeoutError:
                raise TestbedError(
                    f"{backend} did not carry a frame within {PATIENCE:g} s"
                ) from None
            delays.append(time.monotonic() - began)
            time.sleep(_PAUSE)
    return statistics.median(delays)


def _raw_socket(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((interface, _ETHERTYPE))
    return raw


if __name__ == "__main__":
    try:
        enter()
        print(msgspec.json.encode(probe(sys.argv[1])).decode())
    except REPORTABLE as error:
        sys.exit(sentence(error))
