"""Throughput of a link: UDP at more than its rate, TCP, and saturated delivery traces."""

from __future__ import annotations

import select
import socket
import threading
import time

import numpy as np

from testbed import clock
from testbed.calibration.bursts import only_rate
from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, Floats, ProbeTrain
from testbed.emulation.namespace import Namespace
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import FULL_FRAME
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

UDP_LIMIT = 0.02
TCP_LIMIT = 0.05
OVERLOAD = 1.2
"""The load offered to a link, as a multiple of its rate."""
MOST = 100e6
"""The highest rate, in bit/s, that these probes can measure."""

BIN = 0.5
"""The length, in seconds, of the bins in which deliveries of a trace are counted."""
BIN_LIMIT, TOTAL_LIMIT = 0.05, 0.01

_SECONDS = 4.0
_LONGEST = 12.0  # seconds, for slow links
_FEWEST = 40  # packets of a sample that can show a deviation of 2 %
_SLOW_START = 1.0  # seconds before TCP is measured
_TRACE_QUEUE = 4 * 2**20  # bytes; packets wait here so that no delivery is missed
_AHEAD = 0.1  # seconds by which packets are sent before their deliveries
_RESERVE = 100  # further packets that wait at the beginning
_TCP_PORT = 5001
_CHUNK = bytes(64 * 1024)


def measure_rate(bench: LinkBench) -> list[Check]:
    """Check the throughput of UDP at 1.2 times the rate, then of TCP, in each direction."""
    bench.put(only_rate)
    checks = []
    for direction in DIRECTIONS:
        rate = bench.spec(direction).rate
        names = ("rate, UDP", "rate, TCP")
        if isinstance(rate, DeliveryTrace):
            continue
        if rate is None or rate > MOST:
            limit = f"more than the {MOST / 1e6:.0f} Mbit/s that are generated here"
            why = "the rate is not limited" if rate is None else limit
            checks += [bench.not_measured(direction, name, "bit/s", why) for name in names]
            continue
        checks.append(_udp(bench, direction, rate))
        checks.append(_tcp(bench, direction, rate))
    return checks


def _udp(bench: LinkBench, direction: str, rate: float) -> Check:
    payload = bench.payload(direction)
    frame = payload + HEADERS
    every = frame * 8 / (rate * OVERLOAD)
    seconds = min(_LONGEST, max(_SECONDS, _FEWEST * frame * 8 / rate))
    (train,) = bench.send(round(seconds / every), every, payload, directions=(direction,)).values()
    requested = rate * payload / frame
    measured = (len(train.times) - 1) * payload * 8 / (train.times[-1] - train.times[0])
    return bench.judge(
        direction,
        "rate, UDP",
        "bit/s",
        measured=measured,
        requested=requested,
        low=requested * (1 - UDP_LIMIT),
        high=requested * (1 + UDP_LIMIT),
        note=f"payload, offered {OVERLOAD} times the rate",
    )


def _tcp(bench: LinkBench, direction: str, rate: float) -> Check:
    ends = (bench.link.node1, bench.link.node2)
    source, target = ends if direction == "up" else reversed(ends)
    segment = bench.spec(direction).mtu - 52  # IP, TCP and its time stamps
    requested = rate * segment / (segment + 52 + 14)
    seconds = min(_LONGEST, max(_SECONDS, _FEWEST * FULL_FRAME * 8 / rate))
    inside = bench.network.inside
    measured = tcp_goodput(
        inside(source), inside(target), bench.network.address(target, source), seconds
    )
    return bench.judge(
        direction,
        "rate, TCP",
        "bit/s",
        measured=measured,
        requested=requested,
        low=requested * (1 - TCP_LIMIT),
        high=requested * (1 + TCP_LIMIT),
        note="payload",
    )


def tcp_goodput(source: Namespace, target: Namespace, address: str, seconds: float) -> float:
    """Return the payload rate of a TCP connection in bit/s, without its first second."""
    with target.entered(), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, _TCP_PORT))
        listener.listen()
        with source.entered():
            sender = socket.create_connection((address, _TCP_PORT), timeout=10)
        receiver, _ = listener.accept()
    sending = threading.Thread(target=_send_for, args=(sender, _SLOW_START + seconds))
    with sender, receiver:
        sending.start()
        _, began = _receive_until(receiver, time.monotonic() + _SLOW_START)
        taken, ended = _receive_until(receiver, began + seconds)
        sender.shutdown(socket.SHUT_RDWR)  # drop the bytes that it still holds
        sending.join()
    return taken * 8 / (ended - began)


def _send_for(sender: socket.socket, seconds: float) -> None:
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            sender.send(_CHUNK)
    except OSError:
        return  # shut down


def _receive_until(receiver: socket.socket, until: float) -> tuple[int, float]:
    """Read until a time; return the number of bytes, and the arrival time of the last ones."""
    taken, last = 0, time.monotonic()
    while (left := until - time.monotonic()) > 0:
        if select.select([receiver], [], [], left)[0]:
            taken += len(receiver.recv(1 << 16))
            last = time.monotonic()
    return taken, last


def measure_trace(
    bench: LinkBench, direction: str, seconds: float
) -> tuple[list[Check], Floats, Floats]:
    """Compare the deliveries in each half second of a saturated trace with those of the trace.

    A trace that begins with a pause is replayed from the half second of its first delivery on.
    Returns the checks, and for each bin the packets of full size requested and measured.
    """
    trace = bench.spec(direction).rate
    assert isinstance(trace, DeliveryTrace)
    skipped, seconds = _replayed(trace, seconds)
    bench.put(
        lambda spec: (
            LinkSpec(rate=spec.rate, queue=_TRACE_QUEUE, mtu=spec.mtu)
            if isinstance(spec.rate, DeliveryTrace)
            else LinkSpec(mtu=spec.mtu)
        )
    )
    numbers = range(trace.first_from(skipped), trace.first_from(skipped + seconds))
    due = [trace.time(number) - skipped for number in numbers]
    train, began = _saturate(bench, direction, due, skipped)
    edges = np.arange(0, seconds + BIN / 2, BIN)
    requested, _ = np.histogram(np.asarray(due), edges)
    measured, _ = np.histogram(np.asarray(train.times) - began, edges)
    worst = float(np.max(np.abs(measured - requested) / np.maximum(requested, 1)))
    total = float(abs(measured.sum() - requested.sum()) / requested.sum())
    checks = [
        bench.judge(direction, "trace, worst bin", "share", measured=worst, high=BIN_LIMIT,
            note=f"{len(requested)} bins of {BIN:g} s",
        ),
        bench.judge(direction, "trace, total", "share", measured=total, high=TOTAL_LIMIT,
            note=f"{requested.sum()} deliveries",
        ),
    ]  # fmt: skip
    return checks, requested.astype(float), measured.astype(float)


def _replayed(trace: DeliveryTrace, seconds: float) -> tuple[float, float]:
    """Return start and length, in seconds and whole bins, of the part of a trace to replay."""
    first = trace.times[0]
    skipped = int(max(0.0, first - _AHEAD) / BIN)
    bins = max(int(min(seconds, trace.period) / BIN), int(first / BIN) + 1 - skipped)
    return BIN * skipped, BIN * bins


def _saturate(
    bench: LinkBench, direction: str, due: list[float], skipped: float
) -> tuple[ProbeTrain, float]:
    """Start the trace at `skipped` seconds, and send a packet of full size ahead of each delivery.

    due: the times of the deliveries from the start on. _RESERVE packets are sent before the others.
    Returns the train, and the time of the start (monotonic clock, seconds).
    """
    path = bench.paths[direction]
    payload = FULL_FRAME - HEADERS
    bench.wire.restart(0, None)
    began = time.monotonic()
    bench.wire.begin_traces(clock.emulated(began - skipped))
    train = path.begin()
    for _ in range(_RESERVE):
        path.send(payload)
    for number, time_due in enumerate(due):
        wait = began + time_due - _AHEAD - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        path.send(payload)
        if number % 16 == 0:
            path.drain()
    time.sleep(max(0.0, began + due[-1] + 0.1 - time.monotonic()))
    path.drain()
    bench.count_order({direction: train})
    return train, began
