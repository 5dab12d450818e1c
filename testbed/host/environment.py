"""Description of the machine and software of a run, to explain its numbers years later."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from testbed.host.cores import processors, usable_cores

_CPUINFO = Path("/proc/cpuinfo")
_ARITHMETIC = {
    "flags": re.compile("amx|avx|f16c|fma|s?sse|xop"),
    "Features": re.compile("asimd|bf16|fcma|fp|i8mm|sme|sve"),
}
"""Prefixes of the flags of arithmetic instruction sets, on x86 and on Arm."""
_PACKAGES = (
    "testbed", "mininet", "pyzmq", "numpy", "msgspec", "torch", "transformers", "tokenizers",
)  # fmt: skip
_SYSCTLS = (
    "net.core.rmem_max",
    "net.core.wmem_max",
)
"""Of the machine, where hosts have none of their own."""


def describe_environment() -> dict[str, Any]:
    """Return kernel, processor, packages, commit and sysctls as values that JSON can hold."""
    return {
        "kernel": platform.release(),
        "system": _system(),
        "processor": processor(),
        "cores": len(processors()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "sysctls": {name: _sysctl(name) for name in _SYSCTLS},
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def threads_per_node(nodes: int = 2) -> int:
    """Return the threads per node when `nodes` nodes share this machine equally; at least 1."""
    return max(1, usable_cores() // nodes)


def processor() -> str:
    """Return the model of the processors; on Arm, which has no name there, its part numbers."""
    fields = _cpuinfo()
    if name := fields.get("model name"):
        return name
    numbers = [f"{key} {fields[key]}" for key in fields if key.startswith("CPU ")]
    numbers += [platform.processor()] if not fields else []
    return ", ".join([platform.machine(), *numbers])


def instruction_sets() -> str:
    """Return the arithmetic flags of the first processor; empty where the kernel lists none.

    Other flags are left out: newer kernels list more of them, and they do not affect rounding.
    """
    fields = _cpuinfo()
    return " ".join(
        sorted(
            flag
            for key, arithmetic in _ARITHMETIC.items()
            for flag in fields.get(key, "").split()
            if arithmetic.match(flag)
        )
    )


def _system() -> str:
    """Return the name of the distribution; elsewhere than on Linux, of the system."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:  # this system has no such file
        return platform.platform()


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo; empty where there is none."""
    if not _CPUINFO.exists():
        return {}
    first, _, _ = _CPUINFO.read_text().partition("\n\n")
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None  # not installed: run from a checkout, or not needed


def _commit() -> str | None:
    """Return the checkout's commit, with "-dirty" if files differ; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    commit = _git(root, "describe", "--always", "--abbrev=12")
    # Not `describe --dirty`: it writes the index. Where a limit on file sizes stops that, a lock
    # is left behind, and git fails in that checkout from then on.
    changed = _git(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    if not commit or changed is None:
        return None
    return f"{commit}-dirty" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    """Return the output of git in a checkout; None if it fails."""
    argv = ["git", "-C", str(root), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys") / name.replace(".", "/")
    return path.read_text().strip() if path.exists() else None
