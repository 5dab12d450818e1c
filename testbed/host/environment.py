"""Where a run took place: enough to explain, years later, why its numbers are what they are."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from testbed.host.cores import usable_cores

_CPUINFO = Path("/proc/cpuinfo")
_ARITHMETIC = {
    "flags": re.compile("amx|avx|f16c|fma|s?sse|xop"),
    "Features": re.compile("asimd|bf16|fcma|fp|i8mm|sme|sve"),
}
"""Of an x86 and of an Arm: how the flags begin that say what it can compute with."""
_PACKAGES = (
    "testbed", "mininet", "pyzmq", "numpy", "msgspec", "torch", "transformers", "tokenizers",
)  # fmt: skip
_SYSCTLS = (
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.tcp_slow_start_after_idle",
)


def describe_environment() -> dict[str, Any]:
    """Kernel, processor, packages, commit and sysctls, as JSON-able values."""
    return {
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "sysctls": {name: _sysctl(name) for name in _SYSCTLS},
        "load": os.getloadavg(),
    }


def threads_per_node(nodes: int = 2) -> int:
    """An equal part of the machine to each of so many nodes, so that none slows another."""
    return max(1, usable_cores() // nodes)


def processor() -> str:
    """The model of the processors; on an Arm, which has no name there, its maker's numbers."""
    told = _cpuinfo()
    if name := told.get("model name"):
        return name
    numbers = [f"{key} {told[key]}" for key in told if key.startswith("CPU ")]
    return ", ".join([platform.machine(), *numbers])


def instruction_sets() -> str:
    """Return the arithmetic flags of the first processor; empty where the kernel lists none.

    Not its other flags: a new kernel knows more of them, and nothing is rounded otherwise for that.
    """
    told = _cpuinfo()
    return " ".join(
        sorted(
            flag
            for key, arithmetic in _ARITHMETIC.items()
            for flag in told.get(key, "").split()
            if arithmetic.match(flag)
        )
    )


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo."""
    first, _, _ = _CPUINFO.read_text().partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None  # run from a checkout, or not needed by this run


def _commit() -> str | None:
    """The checkout's commit, marked when files differ from it; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    commit = _git(root, "describe", "--always", "--abbrev=12")
    # Not `describe --dirty`: it writes the index, and where that is beyond a limit it leaves a lock
    # behind, so that git works no more there.
    changed = _git(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    if not commit or changed is None:
        return None
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints of a checkout; None where it fails."""
    argv = ["git", "-C", str(root), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys") / name.replace(".", "/")
    return path.read_text().strip() if path.exists() else None
