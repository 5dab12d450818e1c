"""Checks of the machine itself: processor, cores, clock, memory, models, disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from testbed.doctor.record import Finding
from testbed.emulation.lateness import LatenessHistogram
from testbed.host.cache import can_be_written, existing
from testbed.host.cores import quota_warning
from testbed.host.environment import processor
from testbed.host.process_endings import how_ended
from testbed.models.engines import engines
from testbed.models.store.catalog import DEFAULT_DRAFT, describe
from testbed.models.store.fetch import DEFAULT_MODEL
from testbed.models.store.store import cache_dir

MEMINFO = Path("/proc/meminfo")

_COMPILED = ("numpy", "scipy", "zmq", "constriction", "safetensors", "tokenizers", "torch")
_IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    print(name, flush=True)
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(f"failed: {name} ({error})", flush=True)
"""
_SLEEPS, _SLEEP = 200, 1e-3  # how many, and seconds each
_LATE = 1e-3  # seconds; a larger overshoot of timers blurs the delays of a link
_COARSE = 1e-6  # seconds; so do coarser steps of the clock
_MEMORY = 2.0  # GB for two nodes with the default models
_DISK = 1.0  # GB; while the default model is fetched, it takes 0.75 GB


def check_processor(name: str) -> Finding:
    """Name the processor, and check that every package compiled for it can be imported."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, *_COMPILED], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    failed = [line.removeprefix("failed: ") for line in lines if line.startswith("failed: ")]
    if done.returncode:  # an instruction that this processor lacks ends the process
        failed.append(f"{lines[-1]} ({how_ended(done.returncode)})")
    if failed:
        return Finding(
            name,
            "warning",
            f"{processor()}: cannot be imported: {', '.join(failed)}",
            f"install packages for {platform.machine()}; runs that need them are refused by name",
        )
    return Finding(name, "ok", f"{processor()}; all compiled packages can be imported")


def check_cores(name: str) -> Finding:
    """Count the cores that this process may use, and read its quota of their time."""
    usable = sorted(os.sched_getaffinity(0))
    finding = f"{len(usable)} of {os.cpu_count()} may be used: {ranges(usable)}"
    if limited := quota_warning():
        what, _, advice = limited.rpartition("; ")
        return Finding(name, "warning", f"{finding}; {what}", advice)
    if len(usable) < 2:
        return Finding(
            name, "warning", finding, "allow two or more: two nodes and the relay share them"
        )
    return Finding(name, "ok", finding)


def check_clock(name: str) -> Finding:
    """Measure the resolution of CLOCK_MONOTONIC, and how late timers fire."""
    resolution = time.clock_getres(time.CLOCK_MONOTONIC)
    overshoot = timer_overshoot()
    finding = (
        f"CLOCK_MONOTONIC in steps of {resolution * 1e9:.0f} ns; a sleep of 1 ms overshoots by "
        f"{overshoot['p50'] * 1e3:.2f} ms (median), {overshoot['p99'] * 1e3:.2f} ms (p99)"
    )
    if resolution > _COARSE:
        return Finding(name, "warning", finding, "boot a kernel with high-resolution timers")
    if overshoot["p99"] > _LATE:
        return Finding(name, "warning", finding, "stop other programs on this machine")
    return Finding(name, "ok", finding)


def check_memory(name: str) -> Finding:
    """Check that enough memory is free for two nodes with the default models."""
    for line in MEMINFO.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            free = int(value.split()[0]) * 1024 / 1e9
            break
    else:
        return Finding(name, "warning", f"{MEMINFO} does not say how much is available")
    finding = f"{free:.1f} GB available"
    if free < _MEMORY:
        return Finding(
            name, "warning", finding, f"free {_MEMORY:.0f} GB for two nodes with default models"
        )
    return Finding(name, "ok", finding)


def check_engines(name: str) -> Finding:
    """Name the engines that run models, with their versions."""
    found = engines()
    finding = "; ".join(f"{each.name}: {each.version}" for each in found)
    lacking = [each for each in found if each.advice]
    if lacking:
        runs = ", ".join(each.runs for each in lacking)
        return Finding(name, "warning", f"{finding}; {runs} are not run", lacking[0].advice)
    return Finding(name, "ok", finding)


def check_models(name: str) -> Finding:
    """Check that the default models are fetched."""
    ready = {model.name: model.ready for model in describe()}
    if ready[DEFAULT_MODEL] and ready[DEFAULT_DRAFT]:
        return Finding(name, "ok", f"{DEFAULT_MODEL} and its draft are fetched")
    return Finding(
        name,
        "warning",
        f"{DEFAULT_MODEL} is not fetched; synthetic models need no weights",
        "testbed models fetch",
    )


def check_disk(name: str) -> Finding:
    """Check the free space of the model cache, and that it can be written."""
    cache = cache_dir()
    there = existing(cache)
    free = shutil.disk_usage(there).free / 1e9
    finding = f"{free:.1f} GB free for models in {cache}"
    if not can_be_written(cache):
        return Finding(
            name,
            "warning",
            f"{there} cannot be written: no model can be fetched, and facts about "
            "this machine are not cached",
            "name another place in TESTBED_CACHE",
        )
    if free < _DISK:
        return Finding(
            name, "warning", finding, f"free {_DISK:.0f} GB, or name another place in TESTBED_CACHE"
        )
    return Finding(name, "ok", finding)


def timer_overshoot() -> dict[str, float]:
    """Measure by how many seconds short sleeps last too long; return p50, p99 and max."""
    overshoot = LatenessHistogram()
    for _ in range(_SLEEPS):
        began = time.monotonic()
        time.sleep(_SLEEP)
        overshoot.add(time.monotonic() - began - _SLEEP)
    return overshoot.summary()


def ranges(numbers: list[int]) -> str:
    """Write ascending numbers as ranges, such as 0-3,6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
