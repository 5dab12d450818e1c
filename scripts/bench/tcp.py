#!/usr/bin/env python3
"""Compares the model of TCP with this kernel's: completion times of requests and responses.

    python scripts/bench/tcp.py [--measured FILE] [--cells PATTERN] [--control NAME] [--rounds]

Sends requests over emulated links, each answered when it has arrived whole, with plain sockets and
TCP_NODELAY, and the same ones through the model on the same pipelines, with the same losses. Prints
for each cell the mean time from writing a request to having its response, emulated and simulated.
`--measured` keeps the emulated times in FILE, and uses those that are there already; `--cells`
takes only cells whose name matches PATTERN; `--control` is cubic or reno; `--rounds` prints the
rounds of the first connection. Emulation needs root or user namespaces.

One constant is fitted: what hosts and relay add to each message. Exits with 3 if a cell without
randomness differs by more than 2 %, or if more than 10 % of the others are outside the
emulated 95 % interval. Not judged are the link without any limit, whose times are those of the
hosts, and messages of several windows over other links without a rate, whose times differ from one
emulated connection to the next.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.emulation.network import Network
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.sandbox import enter, run_in_sandboxes
from testbed.host.realtime import enable_realtime
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import Duplex, LinkSpec
from testbed.simulation.tcp.end import TcpEnd
from testbed.simulation.tcp.segment import Segment
from testbed.simulation.tcp.settings import TcpSettings
from testbed.topology.declarations import load_topology

PORT = 7000
JOBS = 8
TOLERANCE = 0.02
LARGE = 20_000
"""Bytes that surely need more than one window at the beginning of a connection."""
INSIDE = 0.9


def both(**values: object) -> Duplex:
    """Return the same link in both directions."""
    spec = LinkSpec.parse(values, "link")
    return Duplex(spec, spec)


def ways(up: dict[str, object], down: dict[str, object]) -> Duplex:
    """Return a link whose directions differ."""
    return Duplex(LinkSpec.parse(up, "up"), LinkSpec.parse(down, "down"))


LINKS = {
    "unlimited": both(),
    "10ms": both(delay="10ms"),
    "50ms": both(delay="50ms"),
    "50mbit-5ms": both(rate="50mbit", delay="5ms"),
    "20mbit-20ms": both(rate="20mbit", delay="20ms"),
    "10mbit-20ms-jitter5ms": both(rate="10mbit", delay="20ms", jitter="5ms"),
    "5mbit-10ms": both(rate="5mbit", delay="10ms"),
    "5/20mbit-25ms": ways({"rate": "5mbit", "delay": "25ms"}, {"rate": "20mbit", "delay": "25ms"}),
    "2mbit-30ms": both(rate="2mbit", delay="30ms"),
    "500kbit-50ms": both(rate="500kbit", delay="50ms"),
    "20mbit-20ms-loss1": both(rate="20mbit", delay="20ms", loss="1%"),
    "20mbit-10ms-loss5": both(rate="20mbit", delay="10ms", loss="5%"),
    "5mbit-30ms-loss1": both(rate="5mbit", delay="30ms", loss="1%"),
    "20ms-loss5": both(delay="20ms", loss="5%"),
    "20mbit-20ms-reorder2-duplicate1": both(
        rate="20mbit", delay="20ms", reorder="2%", duplicate="1%"
    ),
    "10mbit-10ms-jitter5ms-loss1": both(rate="10mbit", delay="10ms", jitter="5ms", loss="1%"),
}
SIZES = ((100, 20), (2000, 20), (60_000, 20), (250_000, 20), (20, 64_000))
GAPS = {0.0: 8, 0.05: 8, 0.3: 8, 1.0: 5}
"""Idle seconds between rounds, and rounds on a link without randomness."""
RANDOM = {0.0: (6, 30), 0.3: (4, 15)}
"""The same on a link with randomness: connections, and rounds on each."""


@dataclass(frozen=True)
class Cell:
    """One link, one request and response, one gap."""

    link: str
    up: int
    down: int
    gap: float

    @property
    def name(self) -> str:
        """The name in tables and files."""
        return f"{self.link} {self.up}/{self.down} gap{self.gap * 1e3:g}ms"

    @property
    def random(self) -> bool:
        """True if the link loses or reorders packets, or has jitter."""
        link = LINKS[self.link].up
        return link.loss != 0 or link.jitter != 0 or link.reorders

    @property
    def judged(self) -> bool:
        """False where times are those of the hosts, or differ from connection to connection."""
        link = LINKS[self.link].up
        shaped = bool(link.delay) and (link.rate is not None or max(self.up, self.down) < LARGE)
        return self.random or shaped

    @property
    def plan(self) -> tuple[int, int]:
        """Connections, and rounds on each."""
        return RANDOM[self.gap] if self.random else (1, GAPS[self.gap])


def cells() -> Iterator[Cell]:
    """Yield all cells."""
    for link in LINKS:
        for up, down in SIZES:
            for gap in GAPS:
                cell = Cell(link, up, down, gap)
                if not cell.random or gap in RANDOM:
                    yield cell


SERVER = f"""
import socket, struct
server = socket.create_server(("0.0.0.0", {PORT}))
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    up, down = struct.unpack("II", peer.recv(8, socket.MSG_WAITALL))
    peer.sendall(b"y")
    answer, buffer = bytes(down), bytearray(1 << 20)
    got = 0
    while size := peer.recv_into(buffer):
        got += size
        if got >= up:
            got -= up
            peer.sendall(answer)
    peer.close()
"""
"""The first exchange, of 8 B and 1 B, is in the model as well."""


def emulate(control: str, wanted: list[Cell], out: Path) -> None:
    """Measure cells, inside a sandbox; times go to `out`."""
    enter()
    enable_realtime()
    found: dict[str, list[list[float]]] = {}
    empty = Duplex(LinkSpec(), LinkSpec())
    with Network(
        load_topology("edge"), {"radio": empty}, "relay", 1, congestion_control=control
    ) as network:
        server = network.popen(
            "base_station", [sys.executable, "-c", SERVER], stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        server.stdout.readline()
        wire = network.wires["radio"]
        assert isinstance(wire, RelayWire)
        for cell in wanted:
            link = LINKS[cell.link]
            found[cell.name] = []
            for repetition in range(cell.plan[0]):
                wire.change(up=link.up, down=link.down)
                wire.restart(repetition, None)
                with network.inside("device").entered():
                    found[cell.name].append(exchange(network.address("base_station"), cell))
                wire.change(up=LinkSpec(), down=LinkSpec())
                time.sleep(0.15)
    out.write_text(json.dumps(found))


def exchange(address: str, cell: Cell) -> list[float]:
    """Return the seconds of each round on a connection of its own."""
    with socket.socket() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.connect((address, PORT))
        peer.sendall(struct.pack("II", cell.up, cell.down))
        peer.recv(1)
        request, buffer = bytes(cell.up), bytearray(1 << 20)
        taken = []
        for _ in range(cell.plan[1]):
            if cell.gap:
                time.sleep(cell.gap)
            began = time.monotonic()
            peer.sendall(request)
            got = 0
            while got < cell.down:
                got += peer.recv_into(buffer)
            taken.append(time.monotonic() - began)
    return taken


class Frame(bytes):
    """An Ethernet frame that carries a segment."""

    segment: Segment


class Simulation:
    """One connection over two pipelines, and its application."""

    def __init__(self, control: str, cell: Cell, repetition: int) -> None:
        settings = TcpSettings(congestion_control=control)
        link = LINKS[cell.link]
        self.now = 0.0013 * repetition  # another phase of the tick
        self.cell = cell
        self.up = Pipeline(link.up, RandomKey(1, "radio", "up", repetition))
        self.down = Pipeline(link.down, RandomKey(1, "radio", "down", repetition))
        self.client = TcpEnd(settings, lambda segment: self.carry(self.up, segment), self.answered)
        self.server = TcpEnd(settings, lambda segment: self.carry(self.down, segment), self.asked)
        self.taken: list[float] = []
        self.began = 0.0
        self.begins: float | None = None
        self.expected = 8
        self.segments = 0

    def carry(self, pipeline: Pipeline, segment: Segment) -> None:
        """Put a segment on a link."""
        frame = Frame(segment.frame_size)
        frame.segment = segment
        self.segments += 1
        pipeline.arrive(self.now, frame)

    def asked(self, now: float, total: int) -> None:
        """Answer requests that are whole."""
        while total >= self.expected:
            first = self.expected == 8
            self.expected += self.cell.up
            self.server.write(now, 1 if first else self.cell.down)

    def answered(self, now: float, total: int) -> None:
        """Take in an answer; the next round follows after the gap."""
        if total == 1 and not self.taken and not self.began:
            self.begins = now + self.cell.gap
        elif total == 1 + (len(self.taken) + 1) * self.cell.down:
            self.taken.append(now - self.began)
            self.begins = now + self.cell.gap

    def run(self, rounds: int) -> list[float]:
        """Return the seconds of each round."""
        self.client.connect(self.now)
        self.client.write(self.now, 8)
        while len(self.taken) < rounds:
            times = [
                self.up.next_event(),
                self.down.next_event(),
                self.client.next_timer(),
                self.server.next_timer(),
                self.begins,
            ]
            self.now = now = max(self.now, min(each for each in times if each is not None))
            while (departure := self.up.leave(now)) is not None:
                self.server.arrive(now, departure.packet.frame.segment)  # type: ignore[attr-defined]
            while (departure := self.down.leave(now)) is not None:
                self.client.arrive(now, departure.packet.frame.segment)  # type: ignore[attr-defined]
            for end in (self.client, self.server):
                if (due := end.next_timer()) is not None and due <= now:
                    end.expire(now)
            if self.begins is not None and self.begins <= now:
                self.begins, self.began = None, now
                self.client.write(now, self.cell.up)
        return self.taken


def simulate(control: str, cell: Cell) -> list[list[float]]:
    """Return the times of a cell from the model."""
    connections, rounds = cell.plan
    return [Simulation(control, cell, number).run(rounds) for number in range(connections)]


def measure(control: str, wanted: list[Cell], stored: Path | None) -> dict[str, list[list[float]]]:
    """Return the emulated times, of the file or measured now by several sandboxes at once."""
    found: dict[str, list[list[float]]] = {}
    if stored is not None and stored.exists():
        found = json.loads(stored.read_text())
    missing = [cell for cell in wanted if cell.name not in found]
    parts = [missing[number::JOBS] for number in range(min(JOBS, len(missing)))]
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder, f"{number}.json") for number in range(len(parts))]
        inside = [sys.executable, __file__, "--control", control, "--inside"]
        codes = run_in_sandboxes(
            [
                [*inside, json.dumps([cell.name for cell in part]), "--out", str(out)]
                for part, out in zip(parts, outs, strict=True)
            ]
        )
        if any(codes):
            sys.exit(f"the emulation ended with codes {codes}")
        for out in outs:
            found |= json.loads(out.read_text())
    if stored is not None:
        stored.write_text(json.dumps(found))
    return found


def flat(times: list[list[float]]) -> list[float]:
    """Return the rounds of all connections."""
    return [each for connection in times for each in connection]


def main() -> None:
    """Measure, simulate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--cells", default="")
    parser.add_argument("--control", default="cubic")
    parser.add_argument("--rounds", action="store_true")
    parser.add_argument("--inside", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside is not None:
        emulate(args.control, [cell for cell in cells() if cell.name in args.inside], args.out)
        return
    wanted = [cell for cell in cells() if re.search(args.cells, cell.name)]
    measured = measure(args.control, wanted, args.measured)
    began = time.process_time()
    simulated = {cell.name: simulate(args.control, cell) for cell in wanted}
    busy = time.process_time() - began
    sys.exit(compare(wanted, measured, simulated, busy, rounds=args.rounds))


def compare(
    wanted: list[Cell],
    measured: dict[str, list[list[float]]],
    simulated: dict[str, list[list[float]]],
    busy: float,
    *,
    rounds: bool,
) -> int:
    """Print the table; return the exit code."""
    means = {
        cell.name: (
            statistics.fmean(flat(measured[cell.name])),
            statistics.fmean(flat(simulated[cell.name])),
        )
        for cell in wanted
    }
    steady = [means[cell.name] for cell in wanted if cell.judged and not cell.random]
    host = statistics.median((was - model) / 2 for was, model in steady) if steady else 0.0
    print(f"host and relay: {host * 1e3:.3f} ms per message, added to simulated times")
    wrong: dict[bool, list[str]] = {False: [], True: []}
    judged: dict[bool, int] = {False: 0, True: 0}
    for cell in wanted:
        was, model = means[cell.name]
        model += 2 * host
        times = flat(measured[cell.name])
        half = 1.96 * statistics.stdev(times) / math.sqrt(len(times))
        fits = abs(was - model) <= (half if cell.random else TOLERANCE * was)
        if cell.judged:
            judged[cell.random] += 1
            if not fits:
                wrong[cell.random].append(cell.name)
        mark = "" if fits else "<<<" if cell.judged else "not judged"
        interval = f"±{half * 1e3:7.2f}" if cell.random else 8 * " "
        print(
            f"{cell.name:45} {was * 1e3:9.2f} {interval} ms {model * 1e3:9.2f} ms "
            f"{model / was:6.3f} {mark}"
        )
        if rounds:
            for label, found in (("emulated", measured), ("simulated", simulated)):
                shown = " ".join(f"{each * 1e3:.1f}" for each in found[cell.name][0])
                print(f"    {label:10} {shown}")
    print(f"without randomness: {len(wrong[False])} of {judged[False]} differ by more than 2 %")
    print(
        f"with randomness: {len(wrong[True])} of {judged[True]} outside the emulated 95 % interval"
    )
    print(f"the model took {busy:.1f} s")
    return 3 if wrong[False] or len(wrong[True]) > (1 - INSIDE) * judged[True] else 0


if __name__ == "__main__":
    main()
