"""The user-space relay: a process that carries frames between two ports and shapes them.

    python -m testbed.emulation.relay PORT_A PORT_B --link NAME --seed N --up JSON --down JSON \\
        --time-dilation F

It runs in the wire's namespace, on the time of testbed.clock. JSON is a LinkSpec mapping. It writes
JSON lines to stdout: first a ready message with the specs that were applied, then one reply to each
request on stdin:

    {"stats": true}
    {"forget_lateness": true}
    {"set": {"up": {…}, "down": {…}}}
    {"follow": {"moments": [{"time": S, "up": {…}, "down": {…}, "held": B}, …],
                "on_first_packet": B}}
    {"restart": {"repetition": N, "logs": {"up": PATH, "down": PATH} or null}}
    {"end_logs": true}
    {"begin": S}
    {"begin_traces": S}
    {"changes": true}

`set` applies at once, and again after each restart. `follow` replaces the schedule of changes.
`restart` resets the links' randomness and packet numbers, starts the schedule, and logs every
packet from then on; while packets wait to be sent it does nothing, and has to be repeated.
`end_logs` ends those logs, and has to be repeated until they are whole. `begin` starts the schedule
and the delivery traces at time S of the clock; `begin_traces` starts the traces alone. `changes`
returns time 0 of the schedule, and the scheduled and actual times of its changes so far. The relay
exits when stdin closes, and dies of any error. It imports neither torch, zmq nor mininet, so that
it starts in a fraction of a second.
"""

import argparse
import json
import os
import select
import sys
from collections.abc import Mapping
from typing import Any

from testbed import clock
from testbed.emulation.port import Port
from testbed.emulation.relay_direction import Direction
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.realtime import enable_realtime, seconds_to_sleep
from testbed.links.keyed_random import RandomKey
from testbed.links.schedule import Moment, Schedule
from testbed.links.schedule_cursor import ScheduleCursor
from testbed.links.spec import LinkSpec


class Relay:
    """The event loop of the relay: both directions of a wire, the schedule, and the requests."""

    def __init__(self, up: Direction, down: Direction) -> None:
        self._directions = {"up": up, "down": down}
        self._base = {name: direction.spec for name, direction in self._directions.items()}
        self._cursor = ScheduleCursor(Schedule())
        self._by_socket = {
            direction.source.socket: direction for direction in self._directions.values()
        }
        self._requests = bytearray()

    def serve(self) -> None:
        """Carry frames and answer requests until stdin closes."""
        stdin = sys.stdin.fileno()
        directions = tuple(self._directions.values())
        while True:
            ready: list[Any]
            ready, _, _ = select.select([stdin, *self._by_socket], [], [], self._seconds_to_wait())
            self._follow_schedule()
            for source in ready:
                if source is not stdin:
                    self._take_in(self._by_socket[source])
            for direction in directions:
                direction.send_due()
            if stdin in ready:
                data = os.read(stdin, 65536)
                if not data:
                    break
                self._take_requests(data)
        for direction in directions:
            direction.close_log()

    def applied(self) -> dict[str, dict[str, Any]]:
        """Return the specs in force, by direction."""
        return {name: direction.spec.to_mapping() for name, direction in self._directions.items()}

    def _seconds_to_wait(self) -> float | None:
        events = [direction.next_event() for direction in self._directions.values()]
        events.append(self._cursor.next_due())
        times = [event for event in events if event is not None]
        return seconds_to_sleep(clock.real(min(times))) if times else None

    def _take_in(self, direction: Direction) -> None:
        first = direction.take_in()
        if first is not None and self._cursor.began is None:
            self._cursor.packet(first)
            self._begin_traces()

    def _begin_traces(self) -> None:
        if self._cursor.began is not None:
            for direction in self._directions.values():
                direction.begin_trace(self._cursor.began, self._cursor.began)

    def _follow_schedule(self) -> None:
        """Apply the changes of the schedule that are due."""
        while (due := self._cursor.next_due()) is not None:
            now = clock.now()
            moment = self._cursor.take(now)
            if moment is None:
                return
            specs = {"up": moment.up, "down": moment.down}
            for name, direction in self._directions.items():
                direction.change(now, specs[name], held=moment.held, scheduled=due)

    def _take_requests(self, data: bytes) -> None:
        self._requests += data  # a schedule may be as large as 70 MB, in a thousand parts
        if b"\n" in data:
            *lines, self._requests = self._requests.split(b"\n")
            for line in lines:
                say(self._answer(json.loads(line)))

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        directions = self._directions
        if "set" in request:
            self._base = {name: LinkSpec.parse(request["set"][name], name) for name in directions}
            now = clock.now()
            for name, direction in directions.items():
                direction.change(now, self._base[name])
            return {"applied": self.applied()}
        if "follow" in request:
            self._cursor = ScheduleCursor(read_moments(request["follow"]))
            return {"moments": len(request["follow"]["moments"])}
        if "restart" in request:
            return {"waiting": self._restart(**request["restart"])}
        if "end_logs" in request:
            # A list, so that both logs end now, even if the first is not whole yet.
            whole = [direction.end_log() for direction in directions.values()]
            return {"whole": all(whole)}
        if "begin" in request:
            self._begin(request["begin"])
        if "begin_traces" in request:
            now = clock.now()
            for direction in directions.values():
                direction.begin_trace(now, request["begin_traces"])
        if "changes" in request:
            applied = [(each.scheduled, each.applied) for each in self._cursor.applied]
            return {"began": self._cursor.began, "applied": applied}
        if "forget_lateness" in request:
            for direction in directions.values():
                direction.forget_lateness()
        return {name: direction.stats() for name, direction in directions.items()}

    def _restart(self, repetition: int, logs: dict[str, str] | None) -> int:
        """Restart if no packet waits to be sent; return the number of packets that wait."""
        waiting = sum(direction.waiting for direction in self._directions.values())
        if not waiting:
            for name, direction in self._directions.items():
                direction.restart(self._base[name], repetition, logs[name] if logs else None)
            self._cursor.restart(clock.now())
            self._begin_traces()
        return waiting

    def _begin(self, at: float) -> None:
        if self._cursor.applied:
            now = clock.now()
            for name, direction in self._directions.items():
                direction.change(now, self._base[name])
        self._cursor.restart(at)
        self._begin_traces()


def read_moments(mapping: Mapping[str, Any]) -> Schedule:
    """Read a schedule from the mapping that a `follow` request carries."""
    last: dict[str, tuple[Any, LinkSpec]] = {}

    def parsed(direction: str, spec: Mapping[str, Any]) -> LinkSpec:
        before = last.get(direction)
        if before is None or before[0] != spec:  # most moments change one direction only
            before = last[direction] = spec, LinkSpec.parse(spec, direction)
        return before[1]

    moments = (
        Moment(
            moment["time"],
            parsed("up", moment["up"]),
            parsed("down", moment["down"]),
            moment["held"],
        )
        for moment in mapping["moments"]
    )
    return Schedule(tuple(moments), mapping["on_first_packet"])


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
    parser.add_argument("--time-dilation", type=float, required=True)
    args = parser.parse_args()

    clock.set_dilation(args.time_dilation)
    a, b = (Port(port) for port in args.ports)
    up = Direction(a, b, LinkSpec.parse(args.up, "up"), RandomKey(args.seed, args.link, "up"))
    down = Direction(
        b, a, LinkSpec.parse(args.down, "down"), RandomKey(args.seed, args.link, "down")
    )
    relay = Relay(up, down)
    realtime = enable_realtime()
    say({"applied": relay.applied(), "realtime": realtime, "receive_buffer": a.receive_buffer})
    relay.serve()


if __name__ == "__main__":
    try:
        main()
    except REPORTABLE as failure:
        sys.exit(sentence(failure))
