"""A wire carried by the user-space relay."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.emulation.packet_log import DIRECTIONS, packet_log_path
from testbed.emulation.wire import PORT_A, PORT_B, Wire
from testbed.errors import TestbedError
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE, patience
from testbed.links.files import place_files
from testbed.links.round_trip import longest_round_trip
from testbed.links.schedule import Schedule
from testbed.links.schedule_cursor import Applied
from testbed.links.spec import Duplex
from testbed.links.wire_counters import DirectionCounters, Lateness, WireCounters

_STILL = 5.0  # seconds that packets may wait to be sent, beyond the link's longest round trip
_PAUSE = 0.02  # seconds between two requests for a restart


class RelayWire(Wire):
    """A wire carried by a relay process in the wire's namespace; requests go over its stdin."""

    backend = "relay"

    def __init__(self, name: str, inside: Namespace, duplex: Duplex, seed: int) -> None:
        super().__init__(name, inside, duplex)
        specs = _mappings(duplex)
        self._core: int | None = None
        self._lock = threading.Lock()  # one request at a time, whichever thread asks
        self._process = inside.popen(
            [sys.executable, "-m", "testbed.emulation.relay", PORT_A, PORT_B,
             "--link", name, "--seed", str(seed),
             "--up", json.dumps(specs["up"]), "--down", json.dumps(specs["down"]),
             "--time-dilation", str(clock.dilation())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._round_trip = longest_round_trip(duplex, Schedule())
        try:
            self._ready = self._read(_named(specs))
            self._compare(self._ready, duplex)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process id of the relay."""
        return self._process.pid

    @override
    def counters(self) -> WireCounters:
        answer = self._ask({"stats": True})
        return WireCounters(up=_counters(answer["up"]), down=_counters(answer["down"]))

    @override
    def restart(self, repetition: int, logs: Path | None) -> None:
        paths = logs and {
            direction: str(packet_log_path(logs, self.name, direction)) for direction in DIRECTIONS
        }
        longest = _STILL + self._round_trip
        deadline = clock.now() + longest
        while self._ask({"restart": {"repetition": repetition, "logs": paths}})["waiting"]:
            if clock.now() > deadline:
                raise TestbedError(
                    f"packets have waited at link {self.name} for {longest:.3g} s on end, so that "
                    "its log cannot begin"
                )
            time.sleep(_PAUSE)

    @override
    def end_logs(self) -> None:
        while not self._ask({"end_logs": True})["whole"]:
            pass  # each request writes for a moment; the relay dies if gzip stands still

    @override
    def begin(self, at: float) -> None:
        self._ask({"begin": at})

    @override
    def begin_traces(self, at: float) -> None:
        self._ask({"begin_traces": at})

    @override
    def follow(self, schedule: Schedule) -> None:
        moments = [
            {
                "time": moment.time,
                "up": moment.up.to_mapping(),
                "down": moment.down.to_mapping(),
                "held": moment.held,
            }
            for moment in schedule.moments
        ]
        follow = {"moments": moments, "on_first_packet": schedule.on_first_packet}
        self._round_trip = longest_round_trip(self.duplex, schedule)
        if self._ask({"follow": follow})["moments"] != len(moments):
            raise TestbedError(f"the relay of link {self.name} did not take the whole schedule")

    @override
    def began(self) -> float | None:
        began: float | None = self._ask({"changes": True})["began"]
        return began

    @override
    def applied(self) -> list[Applied]:
        return [Applied(*pair) for pair in self._ask({"changes": True})["applied"]]

    @override
    def pin(self, core: int) -> None:
        os.sched_setaffinity(self.pid, {core})  # whose cache then holds what the relay needs
        self._core = core

    @override
    def forget_lateness(self) -> None:
        self._ask({"forget_lateness": True})

    @override
    def check(self) -> None:
        if self._process.poll() is not None:
            raise self._death()

    @override
    def state(self) -> Mapping[str, Any]:
        return {**self._ready, "applied": _mappings(self.duplex), "core": self._core}

    @override
    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            # A request that the dead relay never read is not worth an error.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()

    @override
    def _apply(self, wanted: Duplex) -> None:
        self._round_trip = max(self._round_trip, longest_round_trip(wanted, Schedule()))
        self._compare(self._ask({"set": _mappings(wanted)}), wanted)

    def _compare(self, answer: Mapping[str, Any], wanted: Duplex) -> None:
        if answer["applied"] != _mappings(wanted):
            raise TestbedError(
                f"the relay of link {self.name} applied {answer['applied']}, "
                f"not {_mappings(wanted)}"
            )

    def _ask(self, request: Mapping[str, Any]) -> Any:
        message = json.dumps(request).encode() + b"\n"
        with self._lock:
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(message)
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as error:
                raise self._death() from error
            return self._read(len(message) + _named(request))

    def _read(self, size: int) -> Any:
        """Return the next answer; size: bytes that the relay reads for it, for the time-out."""
        assert self._process.stdout is not None
        seconds = patience(size)
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            raise TestbedError(f"the relay of link {self.name} has not answered for {seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        return json.loads(line)

    def _death(self) -> TestbedError:
        if self._process.stderr is None or self._process.stderr.closed:
            return TestbedError(f"the relay of link {self.name} was stopped")
        how = await_end(self._process, PATIENCE)
        if self._process.returncode is None:
            return TestbedError(f"the relay of link {self.name} closed its output ({how})")
        lines = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return TestbedError(f"the relay of link {self.name} died ({lines[-1] if lines else how})")


def _mappings(duplex: Duplex) -> dict[str, dict[str, Any]]:
    return {"up": duplex.up.to_mapping(), "down": duplex.down.to_mapping()}


def _named(request: Mapping[str, Any]) -> int:
    """Return the bytes of the files that a request names; each direction reads its own copy."""
    names: set[str] = set()

    def note(name: str) -> str:
        names.add(name)
        return name

    place_files(request, note)
    return len(DIRECTIONS) * sum(Path(name).stat().st_size for name in names)


def _counters(stats: Mapping[str, Any]) -> DirectionCounters:
    return DirectionCounters(
        received_packets=stats["received_packets"],
        received_bytes=stats["received_bytes"],
        forwarded_packets=stats["forwarded_packets"],
        forwarded_bytes=stats["forwarded_bytes"],
        dropped_packets=sum(stats["dropped"].values()),
        queued_packets=stats["queued"],
        duplicated_packets=stats["duplicated"],
        dropped_by=Counter(stats["dropped"]),
        socket_drops=stats["socket_drops"],
        lateness=Lateness(**stats["lateness"]),
    )
