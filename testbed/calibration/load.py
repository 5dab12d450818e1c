"""Delay of a link while every processor is busy."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from testbed.calibration.delay import only_delay
from testbed.calibration.link_bench import LinkBench
from testbed.calibration.probes import SMALL
from testbed.links.spec import LinkSpec
from testbed.results.link_check import Check

SHIFT = 1e-3
"""Seconds by which the 99th percentile of the delay may grow."""

_PROBES = 1000
_EVERY = 3e-3  # seconds
_SETTLE = 0.5  # seconds until the processors are busy
_BUSY = "import os, time\nwhile os.getppid() == {parent}:\n    for _ in range(10**6): pass"


def measure_load(bench: LinkBench) -> list[Check]:
    """Check how much the p99 of the one-way delay grows when all processors are busy."""
    bench.put(_steady)
    idle = bench.send(_PROBES, _EVERY, SMALL)
    with busy(len(os.sched_getaffinity(0))):
        loaded = bench.send(_PROBES, _EVERY, SMALL)
    checks = []
    for direction, train in loaded.items():
        before = float(np.percentile(idle[direction].delays, 99))
        after = float(np.percentile(train.delays, 99))
        checks.append(
            bench.judge(
                direction,
                "p99 under load",
                "s",
                measured=after - before,
                requested=0.0,
                high=SHIFT,
                note=f"{before * 1e3:.2f} to {after * 1e3:.2f} ms, one busy process per processor",
            )
        )
    return checks


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep this number of processors busy, at ordinary priority, for the context."""
    program = [sys.executable, "-c", _BUSY.format(parent=os.getpid())]
    running = [
        subprocess.Popen(program, preexec_fn=_ordinary)  # noqa: PLW1509  one system call, no lock
        for _ in range(processes)
    ]
    try:
        time.sleep(_SETTLE)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _ordinary() -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _steady(spec: LinkSpec) -> LinkSpec:
    return LinkSpec(delay=only_delay(spec).delay, mtu=spec.mtu)
