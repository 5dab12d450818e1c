"""The topologies under stock Mininet, as their docstrings say."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.topology.declarations import known_topologies
from tests.emulation.inside import inside_sandbox

ROOT = Path(__file__).parents[2]
MN = Path(sys.executable).with_name("mn")


@inside_sandbox
@pytest.mark.parametrize("name", sorted(known_topologies()))
def test_pingall(name):
    if not MN.exists():
        pytest.skip("no `mn` beside this Python")
    # Stock Mininet raises host-wide limits; let it not.
    for limits in ("/proc/sys/fs", "/proc/sys/kernel"):
        subprocess.run(["mount", "--bind", limits, limits], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", limits], check=True)
    said = subprocess.run(
        [MN, "--custom", f"topologies/{name}.py", "--topo", name,
         "--controller", "none", "--test", "pingall"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "Results: 0% dropped" in said.stdout + said.stderr
