"""Helpers of tests that call `testbed run` from the outside, with the synthetic scenario."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import yaml

from testbed.results.directory import Results
from testbed.results.opening import open_results
from testbed.scenario.run_order import shuffled
from tests.emulation.inside import need_sandbox

ROOT = Path(__file__).parents[2]
SYNTHETIC = yaml.safe_load((ROOT / "scripts/scenarios/synthetic.yaml").read_text())
FOUR = ["cloud_ar", "device_only", "dsd", "dssd"]


def write(path: Path, **changes) -> Path:
    """Return a scenario; without captures, which start slowly, unless they are asked for."""
    scenario = path / "scenario.yaml"
    scenario.write_text(yaml.safe_dump({**SYNTHETIC, "capture": False, **changes}))
    return scenario


def command(scenario: Path, *arguments: str) -> list[str]:
    return [
        sys.executable, "-m", "testbed", "run", str(scenario),
        "--out", str(scenario.parent / "out"), *arguments,
    ]  # fmt: skip


def run(scenario: Path, *arguments: str, code: int = 0, **keywords) -> subprocess.CompletedProcess:
    need_sandbox()
    done = subprocess.run(
        command(scenario, *arguments),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        **keywords,
    )
    wanted = (code, 3) if code == 0 and only_busy(scenario) else (code,)
    assert done.returncode in wanted, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def only_busy(scenario: Path) -> bool:
    """Return True if the only fault of a run is that the tests' machine is busy."""
    verdict = results(scenario).verdict()
    return verdict.level != "valid" and all("busy" in each for each in verdict.reasons)


def results(scenario: Path) -> Results:
    (only,) = (scenario.parent / "out").iterdir()
    return open_results(only)


def hashes(found: Results) -> dict[tuple[str, int], str]:
    return {(row.method, row.prompt): row.output_sha256 for row in found.summary().rows}


def processes_of(mark: str) -> list[str]:
    """Command lines of the live processes that mention `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if mark in line or mark in (entry / "environ").read_bytes().decode(
                    "utf8", "replace"
                ):
                    found.append(line)
    return found


def long_run(folder: Path, backend: str = "relay") -> tuple[subprocess.Popen, Path]:
    """Start a run whose processes are marked by `folder`, and wait for its second generation.

    Return its process and its scenario file.
    """
    need_sandbox()
    slow = {"rate": "1mbit", "delay": "20ms"}
    methods = ["cloud_ar", "dsd"]
    # The quick one is to be the first.
    seed = next(n for n in count() if shuffled(methods, 1, n, {})[0].method == methods[0])
    scenario = write(
        folder, methods=methods, seed=seed, links={"radio": {"up": slow, "down": slow}},
        decoding={"temperature": 1.0, "max_new_tokens": 5000}, backend=backend,
    )  # fmt: skip
    environment = {**os.environ, "TESTBED_TEST_MARK": str(folder)}
    process = subprocess.Popen(
        command(scenario),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("[1/2]"):
            break
    time.sleep(0.5)
    assert len(processes_of(str(folder))) >= 5  # runner, unshare, inside, relay, two nodes
    return process, scenario
