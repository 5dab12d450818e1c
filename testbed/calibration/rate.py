"""Does a link carry what it should, and no more: UDP beyond its rate, TCP at its leisure."""

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
"""Times its rate that a link is offered."""
MOST = 100e6
"""Bit/s beyond which this generator is no measure."""

BIN = 0.5
"""Seconds in which the deliveries of a trace are counted together."""
BIN_LIMIT, TOTAL_LIMIT = 0.05, 0.01

_SECONDS = 4.0
_LONGEST = 12.0  # seconds, for slow links
_FEWEST = 40  # packets of a sample that tells 2 %
_SLOW_START = 1.0  # seconds before TCP is measured
_TRACE_QUEUE = 4 * 2**20  # bytes: what waits for deliveries so that none is missed
_AHEAD = 0.1  # seconds by which packets are sent before their deliveries
_RESERVE = 100  # packets that wait besides
_TCP_PORT = 5001
_CHUNK = bytes(64 * 1024)


def measure_rate(stage: LinkBench) -> list[Check]:
    """UDP at 1.2 times the rate, then TCP, one direction after the other."""
    stage.put(only_rate)
    checks = []
    for direction in DIRECTIONS:
        rate = stage.spec(direction).rate
        names = ("rate, UDP", "rate, TCP")
        if isinstance(rate, DeliveryTrace):
            continue
        if rate is None or rate > MOST:
            limit = f"more than the {MOST / 1e6:.0f} Mbit/s that are generated here"
            why = "the rate is not limited" if rate is None else limit
            checks += [stage.not_measured(direction, name, "bit/s", why) for name in names]
            continue
        checks.append(_udp(stage, direction, rate))
        checks.append(_tcp(stage, direction, rate))
    return checks


def _udp(stage: LinkBench, direction: str, rate: float) -> Check:
    payload = stage.payload(direction)
    frame = payload + HEADERS
    every = frame * 8 / (rate * OVERLOAD)
    seconds = min(_LONGEST, max(_SECONDS, _FEWEST * frame * 8 / rate))
    (flight,) = stage.send(round(seconds / every), every, payload, directions=(direction,)).values()
    asked = rate * payload / frame
    measured = (len(flight.times) - 1) * payload * 8 / (flight.times[-1] - flight.times[0])
    return stage.judge(
        direction,
        "rate, UDP",
        "bit/s",
        measured=measured,
        requested=asked,
        low=asked * (1 - UDP_LIMIT),
        high=asked * (1 + UDP_LIMIT),
        note=f"payload, offered {OVERLOAD} times the rate",
    )


def _tcp(stage: LinkBench, direction: str, rate: float) -> Check:
    ends = (stage.link.node1, stage.link.node2)
    source, target = ends if direction == "up" else reversed(ends)
    segment = stage.spec(direction).mtu - 52  # IP, TCP and its time stamps
    asked = rate * segment / (segment + 52 + 14)
    seconds = min(_LONGEST, max(_SECONDS, _FEWEST * FULL_FRAME * 8 / rate))
    inside = stage.network.inside
    measured = tcp_goodput(
        inside(source), inside(target), stage.network.address(target, source), seconds
    )
    return stage.judge(
        direction,
        "rate, TCP",
        "bit/s",
        measured=measured,
        requested=asked,
        low=asked * (1 - TCP_LIMIT),
        high=asked * (1 + TCP_LIMIT),
        note="payload",
    )


def tcp_goodput(source: Namespace, target: Namespace, address: str, seconds: float) -> float:
    """Bit/s of payload that a TCP connection carries, its first second left out."""
    with target.entered(), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, _TCP_PORT))
        listener.listen()
        with source.entered():
            sender = socket.create_connection((address, _TCP_PORT), timeout=10)
        receiver, _ = listener.accept()
    sending = threading.Thread(target=_pour, args=(sender, _SLOW_START + seconds))
    with sender, receiver:
        sending.start()
        _, began = _swallow(receiver, time.monotonic() + _SLOW_START)
        taken, ended = _swallow(receiver, began + seconds)
        sender.shutdown(socket.SHUT_RDWR)  # what it still holds is not worth waiting for
        sending.join()
    return taken * 8 / (ended - began)


def _pour(sender: socket.socket, seconds: float) -> None:
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            sender.send(_CHUNK)
    except OSError:
        return  # shut down


def _swallow(receiver: socket.socket, until: float) -> tuple[int, float]:
    """Bytes read until a time, and when the last of them came."""
    taken, last = 0, time.monotonic()
    while (left := until - time.monotonic()) > 0:
        if select.select([receiver], [], [], left)[0]:
            taken += len(receiver.recv(1 << 16))
            last = time.monotonic()
    return taken, last


def measure_trace(
    stage: LinkBench, direction: str, seconds: float
) -> tuple[list[Check], Floats, Floats]:
    """Bytes delivered in each half second of a saturated trace, against those that it allows.

    A trace that begins with a pause is replayed from the half second of its first delivery on.
    Returns the two counts of every bin as well, in packets of full size: asked, measured.
    """
    trace = stage.spec(direction).rate
    assert isinstance(trace, DeliveryTrace)
    skipped, seconds = _replayed(trace, seconds)
    stage.put(
        lambda spec: (
            LinkSpec(rate=spec.rate, queue=_TRACE_QUEUE, mtu=spec.mtu)
            if isinstance(spec.rate, DeliveryTrace)
            else LinkSpec(mtu=spec.mtu)
        )
    )
    numbers = range(trace.first_from(skipped), trace.first_from(skipped + seconds))
    due = [trace.time(number) - skipped for number in numbers]
    flight, began = _saturate(stage, direction, due, skipped)
    edges = np.arange(0, seconds + BIN / 2, BIN)
    asked, _ = np.histogram(np.asarray(due), edges)
    measured, _ = np.histogram(np.asarray(flight.times) - began, edges)
    worst = float(np.max(np.abs(measured - asked) / np.maximum(asked, 1)))
    total = float(abs(measured.sum() - asked.sum()) / asked.sum())
    checks = [
        stage.judge(direction, "trace, worst bin", "share", measured=worst, high=BIN_LIMIT,
            note=f"{len(asked)} bins of {BIN:g} s",
        ),
        stage.judge(direction, "trace, total", "share", measured=total, high=TOTAL_LIMIT,
            note=f"{asked.sum()} deliveries",
        ),
    ]  # fmt: skip
    return checks, asked.astype(float), measured.astype(float)


def _replayed(trace: DeliveryTrace, seconds: float) -> tuple[float, float]:
    """From when a trace is replayed, and for how long, in whole bins; it has a delivery then."""
    first = trace.times[0]
    skipped = int(max(0.0, first - _AHEAD) / BIN)
    bins = max(int(min(seconds, trace.period) / BIN), int(first / BIN) + 1 - skipped)
    return BIN * skipped, BIN * bins


def _saturate(
    stage: LinkBench, direction: str, due: list[float], skipped: float
) -> tuple[ProbeTrain, float]:
    """Send a packet of full size ahead of each delivery, after some more.

    Begins the trace, but for the seconds that are skipped; `due` counts from then, which is
    returned as well (monotonic clock, seconds).
    """
    path = stage.paths[direction]
    payload = FULL_FRAME - HEADERS
    stage.wire.restart(0, None)
    began = time.monotonic()
    stage.wire.begin_traces(clock.emulated(began - skipped))
    flight = path.begin()
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
    stage.count_order({direction: flight})
    return flight, began
