#!/usr/bin/env python3
"""Measures emulated links against their limits: relay, netem as a guest wire, netem of a kernel.

    python scripts/bench/links.py [--columns relay,guest,host,tclink] [--trace FILE] [--json FILE]

On an otherwise idle machine. Each column runs the same checks on real packets: `relay` and `guest`
here, `host` on this kernel if it has netem, else on one booted by `testbed guest`. `tclink` is
plain Mininet's TCLink on that same kernel. `--trace` is a Mahimahi trace to replay; without one a
trace is made up, with a rate that wanders between 1 and 12 Mbit/s. Exits with 3 when a figure of
ours is over its limit.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
from mininet.link import TCLink
from mininet.net import Mininet
from rich.console import Console
from rich.table import Table

from testbed.calibration.bursts import burst_times, measure_bursts
from testbed.calibration.changes import measure_changes
from testbed.calibration.delay import measure_delay, measure_noise
from testbed.calibration.link_bench import DIRECTIONS, PAYLOAD, LinkBench, retry_failed_checks
from testbed.calibration.loss import measure_loss
from testbed.calibration.probes import HEADERS, SMALL, ProbePath, ProbeTrain, send_paced
from testbed.calibration.rate import measure_rate, measure_trace
from testbed.calibration.result import BURSTS
from testbed.emulation.guest_shell import run_in_guest
from testbed.emulation.mininet_link import namespace_of
from testbed.emulation.netem import probe_netem
from testbed.emulation.network import Network
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.sandbox import check_sandbox, enter, run_in_sandbox
from testbed.host.realtime import enable_realtime
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.spec import Duplex, LinkSpec
from testbed.results.link_check import (
    Check,
    burst_tolerance,
    format_limits,
    format_value,
    judge,
    tolerance,
)
from testbed.topology.declarations import load_topology

COLUMNS = ("relay", "guest", "host", "tclink")
BACKENDS = {"relay": "relay", "guest": "guest netem", "host": "netem"}
DELAYS = ((0.001, 0.005), (0.02, 0.05), (0.1, 0.2))
RATES = ((1e6, 5e6), (20e6, 20e6))
BULK = ((2e6, 10e6), (20e6, 20e6))
LAWS = (("uniform", "normal"), ("pareto", "paretonormal"))
LOSSES: tuple[tuple[float | GilbertElliott, float | GilbertElliott], ...] = (
    (0.01, GilbertElliott.of_bursts(0.02, 3)),
    (0.1, GilbertElliott(p=0.025, r=0.5)),
)
TRACE_SECONDS = 20.0
THROUGHPUT, THROUGHPUT_SECONDS = 100e6, 5.0

Labelled = tuple[str, Check]


def ours(column: str, trace: Path) -> Iterator[Labelled]:
    """Every check of one of our backends, with a label that is the same in each column."""
    duplex = Duplex(LinkSpec(), LinkSpec())
    with (
        Network(load_topology("edge"), {"radio": duplex}, BACKENDS[column], 1) as network,
        LinkBench(network, network.declared[0]) as stage,
    ):
        checks, noise = measure_noise(stage)
        yield from labelled(checks, ("unshaped", "unshaped"))
        for delays in DELAYS:
            ask(stage, *(LinkSpec(delay=delay) for delay in delays))
            names = tuple(f"{delay * 1e3:g} ms" for delay in delays)
            yield from labelled(measure_delay(stage, noise)[0], names)
        for rates in RATES:
            ask(stage, *(LinkSpec(rate=rate) for rate in rates))
            yield from labelled(measure_bursts(stage), rate_names(rates))
        for rates in BULK:
            ask(stage, *(LinkSpec(rate=rate) for rate in rates))
            yield from labelled(measure_rate(stage), rate_names(rates))
        for losses in LOSSES:
            ask(stage, *(LinkSpec(loss=loss) for loss in losses))
            checks = retry_failed_checks(lambda: measure_loss(stage)[0])
            yield from labelled(checks, tuple(map(loss_name, losses)))
        for laws in LAWS:
            ask(stage, *(LinkSpec(delay=0.03, jitter=Jitter(0.004, law)) for law in laws))
            checks = retry_failed_checks(lambda: measure_delay(stage, noise)[0])
            yield from labelled(checks, laws)
        ask(stage, LinkSpec(), LinkSpec())
        yield from labelled(measure_changes(stage)[0], ("up", "down"))
        inversions = float(sum(stage.inversions.values()))
        yield (
            "all of the above: out of order",
            judge(
                "radio",
                "both",
                "out of order",
                "packets",
                measured=inversions,
                requested=0.0,
                high=0.0,
            ),
        )
        if column == "relay":
            yield from replay(stage, trace)
            yield from throughput(stage)


def ask(stage: LinkBench, up: LinkSpec, down: LinkSpec) -> None:
    """Let the checks that follow measure another link."""
    stage.requested = Duplex(up, down)


def labelled(checks: list[Check], names: tuple[str, ...]) -> Iterator[Labelled]:
    """Yield checks with what each direction was asked for; those not measured are left out."""
    seen = set()
    for check in checks:
        label = f"{names[DIRECTIONS.index(check.direction)]}: {check.name}"
        if check.outcome != "not measured" and label not in seen:
            seen.add(label)
            yield label, check


def rate_names(rates: tuple[float, ...]) -> tuple[str, ...]:
    """Rates for people."""
    return tuple(f"{rate / 1e6:g} Mbit/s" for rate in rates)


def loss_name(loss: float | GilbertElliott) -> str:
    """Return a loss as people write it."""
    if isinstance(loss, GilbertElliott):
        return f"{loss.mean * 100:.1f} % in bursts of {1 / loss.r:g}"
    return f"{loss * 100:g} % independent"


def replay(stage: LinkBench, trace: Path) -> Iterator[Labelled]:
    """Yield a Mahimahi trace, saturated; only the relay can."""
    rate = DeliveryTrace.read(trace)
    ask(stage, LinkSpec(rate=rate), LinkSpec())
    for check in measure_trace(stage, "up", TRACE_SECONDS)[0]:
        yield f"Mahimahi: {check.name}", check


def throughput(stage: LinkBench) -> Iterator[Labelled]:
    """100 Mbit/s both ways at once through a relay that logs every packet."""
    assert isinstance(stage.wire, RelayWire)
    rate = 1.2 * THROUGHPUT
    ask(stage, LinkSpec(rate=rate), LinkSpec(rate=rate))
    stage.put(lambda spec: spec)
    with tempfile.TemporaryDirectory() as logs:
        stage.wire.restart(0, Path(logs))
        before, busy = stage.wire.counters(), processor_seconds(stage.wire.pid)
        began = time.monotonic()
        senders = [flood(stage, direction) for direction in DIRECTIONS]
        codes = [sender.wait() for sender in senders]
        seconds = time.monotonic() - began
        time.sleep(0.2)
        share = (processor_seconds(stage.wire.pid) - busy) / seconds
        after = stage.wire.counters()
        stage.wire.restart(0, None)
    if any(codes):
        raise RuntimeError(f"a sender ended with {codes}")
    for direction in DIRECTIONS:
        was, now = getattr(before, direction), getattr(after, direction)
        bits = (now.forwarded_bytes - was.forwarded_bytes) * 8 / seconds
        lost = now.received_packets - was.received_packets
        lost -= now.forwarded_packets - was.forwarded_packets
        lost += now.socket_drops - was.socket_drops
        yield (
            f"100 Mbit/s both ways: {direction}",
            judge(
                "radio",
                direction,
                "rate",
                "bit/s",
                measured=bits,
                requested=THROUGHPUT,
                low=0.97 * THROUGHPUT,
            ),
        )
        yield (
            f"100 Mbit/s both ways: {direction}, dropped",
            judge(
                "radio",
                direction,
                "dropped",
                "packets",
                measured=float(lost),
                requested=0.0,
                high=0.0,
            ),
        )
    yield (
        "100 Mbit/s both ways: share of a core",
        judge("radio", "both", "share of a core", "share", measured=share, high=1.0),
    )


def flood(stage: LinkBench, direction: str) -> subprocess.Popen[bytes]:
    """Start a process that sends packets of 1,400 B at a steady rate."""
    ends = (stage.link.node1, stage.link.node2)
    source, target = ends if direction == "up" else (ends[1], ends[0])
    address = stage.network.address(target, source)
    every = (PAYLOAD + HEADERS) * 8 / THROUGHPUT
    program = (
        "import socket, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.connect(({address!r}, {stage.paths[direction].receiver.getsockname()[1]}))\n"
        f"data, sent, began = bytes({PAYLOAD}), 0, time.monotonic()\n"
        f"while (now := time.monotonic() - began) < {THROUGHPUT_SECONDS}:\n"
        f"    while sent * {every} <= now:\n"
        "        s.send(data); sent += 1\n"
        "    time.sleep(0.0005)\n"
    )
    return stage.network.popen(source, [sys.executable, "-c", program])


def processor_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, its own threads alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _last_by(delay: float, flight: ProbeTrain) -> float:
    return flight.sent[-1] + delay


def mininets(_trace: Path) -> Iterator[Labelled]:
    """Plain Mininet's TCLink: delay alone, and bursts at each rate."""
    for delays in DELAYS:
        for delay in delays:
            with tclink(delay=f"{delay * 1e3:g}ms") as path:
                (flight,) = send_paced([path], 1000, 2e-3, SMALL, partial(_last_by, delay))
                margin = tolerance(delay)
                median = sorted(flight.delays)[len(flight.numbers) // 2]
                yield f"{delay * 1e3:g} ms: delay, median", judge(
                    "tclink", "up", "delay, median", "s", measured=float(median), requested=delay,
                    low=delay - margin, high=delay + margin,
                )  # fmt: skip
    for rates in RATES:
        for rate, name in zip(rates, rate_names(rates), strict=True):
            with tclink(bw=rate / 1e6) as path:
                for size in BURSTS:
                    ideal = size * (PAYLOAD + HEADERS) * 8 / rate
                    taken = sorted(burst_times(path, size, PAYLOAD, 2 * ideal, wanted=9, most=9))
                    margin = burst_tolerance(ideal)
                    yield f"{name}: burst of {size}", judge(
                        "tclink", "up", "burst", "s", measured=taken[len(taken) // 2],
                        requested=ideal, low=ideal - margin, high=ideal + margin,
                    )  # fmt: skip


class tclink:  # noqa: N801  a context manager
    """Two hosts joined by a TCLink, and a probe path from the first to the second."""

    def __init__(self, **options: object) -> None:
        self._net = Mininet(controller=None, build=False)
        hosts = [self._net.addHost(name) for name in ("h1", "h2")]
        self._net.addLink(*hosts, cls=TCLink, **options)
        self._net.build()
        for host in hosts:  # ARP beforehand, as on our links
            for other in hosts:
                host.setARP(other.IP(), other.MAC())
        first, second = (namespace_of(host) for host in hosts)
        self._path = ProbePath(first, second, hosts[1].IP())

    def __enter__(self) -> ProbePath:
        return self._path

    def __exit__(self, *error: object) -> None:
        self._path.close()
        self._net.stop()


def made_up_trace() -> str:
    """Return a Mahimahi trace of 20 s, its rate between 1 and 12 Mbit/s, with an outage."""
    chance = random.Random(1)
    lines: list[str] = []
    rate, owed = 6.0, 0.0
    for millisecond in range(1, int(TRACE_SECONDS * 1000) + 1):
        if millisecond % 100 == 0:
            rate = min(12.0, max(1.0, rate * math.exp(chance.gauss(0, 0.3))))
        if 8000 <= millisecond < 8700:
            continue
        owed += rate * 1e3 / (1500 * 8)
        lines += [str(millisecond)] * int(owed)
        owed -= int(owed)
    return "\n".join([*lines, str(int(TRACE_SECONDS * 1000))]) + "\n"


MEASURES: dict[str, Callable[[Path], Iterator[Labelled]]] = {
    **{column: (lambda trace, c=column: ours(c, trace)) for column in BACKENDS},
    "tclink": mininets,
}


def measure(column: str, trace: Path, out: Path) -> None:
    """One column, inside a sandbox; its checks go to `out`."""
    enable_realtime()
    found = {}
    for label, check in MEASURES[column](trace):
        print(
            f"  {column}: {label}: {format_value(check.measured, check.unit)} {check.outcome}",
            flush=True,
        )
        found[label] = check
    out.write_bytes(msgspec.json.encode(found))


def run_column(column: str, trace: Path, out: Path) -> None:
    """Start one column where it belongs."""
    inside = [sys.executable, __file__, "--inside", column, "--trace", str(trace), str(out)]
    if column in ("host", "tclink") and not probe_netem().available:
        outer = [sys.executable, __file__, "--sandboxed", *inside[3:]]
        code = run_in_guest(outer, 1200)
    else:
        code = run_in_sandbox(inside)
    if code != 0:
        sys.exit(f"the column {column} ended with code {code}")


def table(columns: dict[str, dict[str, Check]]) -> Table:
    """All columns beside each other, one line per check."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("check", "asked", "limit", *columns):
        shown.add_column(header, justify="left" if header == "check" else "right", no_wrap=True)
    labels = dict.fromkeys(label for checks in columns.values() for label in checks)
    for label in labels:
        first = next(checks[label] for checks in columns.values() if label in checks)
        cells = []
        for column, checks in columns.items():
            check = checks.get(label)
            if check is None:
                refused = label.startswith("Mahimahi") and column in ("guest", "host")
                cells.append("refused by name" if refused else "–")
                continue
            colour = "green" if check.outcome == "ok" else "red"
            mark = "" if check.outcome == "ok" else " ✗"
            cells.append(f"[{colour}]{format_value(check.measured, check.unit)}{mark}[/]")
        asked = format_value(first.requested, first.unit)
        shown.add_row(label, asked, format_limits(first), *cells)
    return shown


def main() -> None:
    """Run the columns asked for, print them beside each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--columns", default=",".join(COLUMNS))
    parser.add_argument("--trace", type=Path, help="a Mahimahi trace")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--inside", choices=COLUMNS, help=argparse.SUPPRESS)
    parser.add_argument("--sandboxed", choices=COLUMNS, help=argparse.SUPPRESS)
    parser.add_argument("out", nargs="?", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        enter()
        measure(args.inside, args.trace, args.out)
        return
    if args.sandboxed:
        inside = [sys.executable, __file__, "--inside", args.sandboxed]
        sys.exit(run_in_sandbox([*inside, "--trace", str(args.trace), str(args.out)]))
    check_sandbox()
    wanted = args.columns.split(",")
    if unknown := [column for column in wanted if column not in COLUMNS]:
        parser.error(f"--columns: {unknown[0]!r} is not one; choose from {', '.join(COLUMNS)}")
    columns = {}
    with tempfile.TemporaryDirectory() as folder:
        trace = args.trace
        if trace is None:
            trace = Path(folder, "made-up.up")
            trace.write_text(made_up_trace())
        for column in wanted:
            out = Path(folder, f"{column}.json")
            run_column(column, trace.resolve(), out)
            columns[column] = msgspec.json.decode(out.read_bytes(), type=dict[str, Check])
    Console(width=160).print(table(columns))
    if args.json:
        args.json.write_text(json.dumps(msgspec.to_builtins(columns), indent=2))
    failed = [
        f"{column}: {label}"
        for column, checks in columns.items()
        for label, check in checks.items()
        if check.outcome == "failed" and column != "tclink"
    ]
    print(
        f"{len(failed)} of ours over their format_limits"
        + "".join(f"\n  {each}" for each in failed)
    )
    sys.exit(3 if failed else 0)


if __name__ == "__main__":
    main()
