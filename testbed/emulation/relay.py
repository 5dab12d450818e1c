"""The user-space wire: a process that carries frames between two ports and shapes them.

    python -m testbed.emulation.relay PORT_A PORT_B --link NAME --seed N --up JSON --down JSON

runs in the wire's namespace. JSON is a LinkSpec mapping. It speaks JSON lines: a ready message
with what was applied, then one reply to each request on stdin: {"stats": true},
{"forget_lateness": true} or {"set": {"up": {…}, "down": {…}}}. It exits when stdin closes, and
dies of any error.
It imports neither torch, zmq nor mininet, so that it starts in a fraction of a second.
"""

import argparse
import ctypes
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

from testbed.emulation.lateness import LatenessHistogram
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_PR_SET_TIMERSLACK = 29

_RECEIVE_BUFFER = 16 * 2**20  # bytes
_LARGEST_FRAME = 2048
_CONTROL = socket.CMSG_SPACE(16)
_BATCH = 32  # frames taken from one port before what is due is sent


class Port:
    """A raw socket on one port: every frame that comes in, none of those sent."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        promiscuous = struct.pack(
            "iHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b""
        )
        self.socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:  # not root outside: as much as the system's limit allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # Bound last: only now do frames come in.
        self.socket.bind((interface, _ETH_P_ALL))
        self.socket.setblocking(False)
        self._drops = 0

    def receive(self) -> tuple[float, bytes]:
        """Take one frame and its arrival time on the monotonic clock, in seconds.

        The kernel stamps arrivals on the wall clock; only the age of the stamp is used, so that
        waking up late, or a wall clock that is set meanwhile, does not move the arrival.
        Raises BlockingIOError when there is none.
        """
        frame, control, _flags, _address = self.socket.recvmsg(_LARGEST_FRAME, _CONTROL)
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        now = time.monotonic()
        age = time.time() - (seconds + nanoseconds * 1e-9)
        return now - age if 0 <= age < 1 else now, frame

    def drops(self) -> int:
        """Frames that the kernel has dropped because this process did not keep up."""
        statistics = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._drops += struct.unpack("II", statistics)[1]  # reading resets the kernel's count
        return self._drops


class Direction:
    """Carries frames from one port to the other through a pipeline."""

    def __init__(self, source: Port, target: Port, pipeline: Pipeline) -> None:
        self._source = source
        self._target = target
        self._lateness = LatenessHistogram()
        self.pipeline = pipeline

    def take_in(self) -> None:
        """Take in frames that have arrived, a batch at most."""
        for _ in range(_BATCH):
            try:
                arrival, frame = self._source.receive()
            except BlockingIOError:
                return
            self.pipeline.arrive(arrival, frame)

    def send_due(self) -> None:
        """Send every frame that is due."""
        while (departure := self.pipeline.leave(time.monotonic())) is not None:
            due, frame = departure
            self._target.socket.send(frame)
            self._lateness.add(time.monotonic() - due)

    def forget_lateness(self) -> None:
        """Start the record of lateness anew."""
        self._lateness = LatenessHistogram()

    def stats(self) -> dict[str, Any]:
        """The counters of this direction; lateness in seconds."""
        line = self.pipeline
        return {
            "received_packets": line.received_packets,
            "received_bytes": line.received_bytes,
            "forwarded_packets": line.forwarded_packets,
            "forwarded_bytes": line.forwarded_bytes,
            "dropped_loss": line.dropped_loss,
            "dropped_queue": line.dropped_queue,
            "queued": line.in_flight,
            "socket_drops": self._source.drops(),
            "lateness": self._lateness.summary(),
        }


class Relay:
    """Both directions of a wire and the control channel, in one loop."""

    def __init__(self, ports: tuple[Port, Port], pipelines: Mapping[str, Pipeline]) -> None:
        a, b = ports
        self._up = Direction(a, b, pipelines["up"])
        self._down = Direction(b, a, pipelines["down"])
        self._by_socket = {a.socket: self._up, b.socket: self._down}
        self._requests = b""

    def serve(self) -> None:
        """Carry frames and answer requests until stdin closes."""
        stdin = sys.stdin.fileno()
        while True:
            ready: list[Any]
            ready, _, _ = select.select([stdin, *self._by_socket], [], [], self._seconds_to_wait())
            for source in ready:
                if source is not stdin:
                    self._by_socket[source].take_in()
            self._up.send_due()
            self._down.send_due()
            if stdin in ready:
                data = os.read(stdin, 65536)
                if not data:
                    return
                self._take_requests(data)

    def applied(self) -> dict[str, dict[str, Any]]:
        """The specs that the pipelines follow."""
        return {
            "up": self._up.pipeline.spec.to_mapping(),
            "down": self._down.pipeline.spec.to_mapping(),
        }

    def _seconds_to_wait(self) -> float | None:
        events = [self._up.pipeline.next_event(), self._down.pipeline.next_event()]
        times = [event for event in events if event is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _take_requests(self, data: bytes) -> None:
        *lines, self._requests = (self._requests + data).split(b"\n")
        for line in lines:
            say(self._answer(json.loads(line)))

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "set" in request:
            now = time.monotonic()
            for name, line in (("up", self._up.pipeline), ("down", self._down.pipeline)):
                line.change(now, LinkSpec.parse(request["set"][name], name))
            return {"applied": self.applied()}
        if "forget_lateness" in request:
            self._up.forget_lateness()
            self._down.forget_lateness()
        return {"up": self._up.stats(), "down": self._down.stats()}


def say(message: Mapping[str, Any]) -> None:
    """Write one JSON line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def be_punctual() -> bool:
    """Ask for exact timers and to run before all else; return whether the latter was granted."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()  # nothing here makes reference cycles
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    return True


def main() -> None:
    """Run the relay described by the command line."""
    parser = argparse.ArgumentParser(description="carry and shape frames between two ports")
    parser.add_argument("ports", nargs=2, metavar="PORT")
    parser.add_argument("--link", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--up", type=json.loads, required=True)
    parser.add_argument("--down", type=json.loads, required=True)
    args = parser.parse_args()

    ports = (Port(args.ports[0]), Port(args.ports[1]))
    pipelines = {
        direction: Pipeline(LinkSpec.parse(mapping, direction), args.seed, args.link, direction)
        for direction, mapping in (("up", args.up), ("down", args.down))
    }
    relay = Relay(ports, pipelines)
    realtime = be_punctual()
    receive_buffer = ports[0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    say({"applied": relay.applied(), "realtime": realtime, "receive_buffer": receive_buffer})
    relay.serve()


if __name__ == "__main__":
    main()
