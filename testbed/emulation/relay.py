"""The user-space wire: a process that carries frames between two ports and shapes them.

    python -m testbed.emulation.relay PORT_A PORT_B --link NAME --seed N --up JSON --down JSON

runs in the wire's namespace. JSON is a LinkSpec mapping. It speaks JSON lines: a ready message
with what was applied, then one reply to each request on stdin:

    {"stats": true}
    {"forget_lateness": true}
    {"set": {"up": {…}, "down": {…}}}
    {"restart": {"repetition": N, "logs": {"up": PATH, "down": PATH} or null}}

A restart begins the links' randomness and packet numbers anew, and logs every packet from then on;
it is granted when no packet is under way. The relay exits when stdin closes, and dies of any error.
It imports neither torch, zmq nor mininet, so that it starts in a fraction of a second.
"""

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from typing import Any

from testbed.emulation.port import Port
from testbed.emulation.punctual import be_punctual, seconds_to_sleep
from testbed.emulation.relay_direction import Direction
from testbed.links.keyed import Key
from testbed.links.spec import LinkSpec


class Relay:
    """Both directions of a wire and the control channel, in one loop."""

    def __init__(self, up: Direction, down: Direction) -> None:
        self._directions = {"up": up, "down": down}
        self._by_socket = {way.source.socket: way for way in self._directions.values()}
        self._requests = b""

    def serve(self) -> None:
        """Carry frames and answer requests until stdin closes."""
        stdin = sys.stdin.fileno()
        ways = tuple(self._directions.values())
        while True:
            ready: list[Any]
            ready, _, _ = select.select([stdin, *self._by_socket], [], [], self._seconds_to_wait())
            for source in ready:
                if source is not stdin:
                    self._by_socket[source].take_in()
            for way in ways:
                way.send_due()
            if stdin in ready:
                data = os.read(stdin, 65536)
                if not data:
                    break
                self._take_requests(data)
        for way in ways:
            way.close_log()

    def applied(self) -> dict[str, dict[str, Any]]:
        """The specs that the directions follow."""
        return {name: way.spec.to_mapping() for name, way in self._directions.items()}

    def _seconds_to_wait(self) -> float | None:
        events = [way.next_event() for way in self._directions.values()]
        times = [event for event in events if event is not None]
        return seconds_to_sleep(min(times)) if times else None

    def _take_requests(self, data: bytes) -> None:
        *lines, self._requests = (self._requests + data).split(b"\n")
        for line in lines:
            say(self._answer(json.loads(line)))

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ways = self._directions
        if "set" in request:
            now = time.monotonic()
            for name, way in ways.items():
                way.change(now, LinkSpec.parse(request["set"][name], name))
            return {"applied": self.applied()}
        if "restart" in request:
            in_flight = sum(way.in_flight for way in ways.values())
            if not in_flight:
                for name, way in ways.items():
                    logs = request["restart"]["logs"]
                    way.restart(request["restart"]["repetition"], logs and logs[name])
            return {"in_flight": in_flight}
        if "forget_lateness" in request:
            for way in ways.values():
                way.forget_lateness()
        return {name: way.stats() for name, way in ways.items()}


def say(message: Mapping[str, Any]) -> None:
    """Write one JSON line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the relay described by the command line."""
    parser = argparse.ArgumentParser(description="carry and shape frames between two ports")
    parser.add_argument("ports", nargs=2, metavar="PORT")
    parser.add_argument("--link", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--up", type=json.loads, required=True)
    parser.add_argument("--down", type=json.loads, required=True)
    args = parser.parse_args()

    a, b = (Port(port) for port in args.ports)
    up = Direction(a, b, LinkSpec.parse(args.up, "up"), Key(args.seed, args.link, "up"))
    down = Direction(b, a, LinkSpec.parse(args.down, "down"), Key(args.seed, args.link, "down"))
    relay = Relay(up, down)
    realtime = be_punctual()
    say({"applied": relay.applied(), "realtime": realtime, "receive_buffer": a.receive_buffer})
    relay.serve()


if __name__ == "__main__":
    main()
