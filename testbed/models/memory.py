"""Checks, before any model is loaded, that there is enough free memory for all of them."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from typing_extensions import override

from testbed.errors import TestbedError
from testbed.models.devices import require_device
from testbed.models.spec import FileSpec, HuggingFaceSpec
from testbed.models.weights import in_memory

_PROCESS = 400_000_000  # bytes of a process with torch and no model: 380 MB measured
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_HOST = "memory"
_READ_GPUS = (
    "import json, torch; print(json.dumps([torch.cuda.mem_get_info(i)[0] "
    "for i in range(torch.cuda.device_count())]))"
)


@dataclass(frozen=True)
class Load:
    """A model and the number of processes that load it."""

    spec: FileSpec
    processes: int

    @property
    def size(self) -> int:
        """Bytes of its weights in all processes together."""
        return self.processes * in_memory(self.spec)

    @override
    def __str__(self) -> str:
        times = f"{self.processes} times " if self.processes > 1 else ""
        dtype = f" in {self.spec.dtype}" if isinstance(self.spec, HuggingFaceSpec) else ""
        return f"{times}{self.spec.name}{dtype}, {_gigabytes(self.size)}"


def require_memory(loads: Sequence[Load]) -> None:
    """Raise TestbedError unless the weights of all `loads` together fit on their devices.

    Key-value caches and the pages of files being read are not counted; they come on top.
    """
    free = {_HOST: free_memory()}
    if any(load.spec.device != "cpu" for load in loads):
        free |= {f"GPU {index}": size for index, size in enumerate(free_gpu_memory())}
    wanted: list[tuple[set[str], int, Load]] = []
    for load in loads:
        dtype = load.spec.dtype if isinstance(load.spec, HuggingFaceSpec) else None
        require_device(load.spec.name, load.spec.device, dtype, len(free) - 1)
        wanted.append((_memories(load.spec.device, free), load.size, load))
        wanted.append(({_HOST}, load.processes * _PROCESS, load))
    for memories, _, _ in wanted:
        here = [(size, load) for others, size, load in wanted if others <= memories]
        needed, room = sum(size for size, _ in here), sum(free[memory] for memory in memories)
        if needed > room:
            raise TestbedError(
                f"the models need {_gigabytes(needed)} of {' and '.join(sorted(memories))} "
                f"({'; '.join(dict.fromkeys(str(load) for _, load in here))}; "
                f"{_gigabytes(_PROCESS)} for each process), but {_gigabytes(room)} are free; "
                "take smaller ones, or bf16"
            )


def require_room(size: int, what: str) -> None:
    """Raise TestbedError unless `size` bytes of memory are free; `what` names the work."""
    needed, free = size + _PROCESS, free_memory()
    if needed > free:
        raise TestbedError(
            f"{what} needs {_gigabytes(needed)} of memory, but {_gigabytes(free)} are free"
        )


def give_back() -> None:
    """Return freed memory to the system, where the C library is able to."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def free_memory() -> int:
    """Return the bytes still available in this machine and in the control group of this process."""
    return min([_available(), *_rooms()])


@cache
def free_gpu_memory() -> list[int]:
    """Return the free bytes of each CUDA device.

    A process of its own reads them, because reading takes memory on the devices.
    """
    done = subprocess.run(
        [sys.executable, "-c", _READ_GPUS], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["torch printed no error"]
        raise TestbedError(f"cannot read the free memory of the CUDA devices: {reason[0]}")
    return [int(size) for size in json.loads(done.stdout)]


def _memories(device: str, free: dict[str, int]) -> set[str]:
    if device == "cpu":
        return {_HOST}
    if device == "auto":
        return set(free)
    return {f"GPU {device.partition(':')[2] or 0}"}


def _available() -> int:
    if not _MEMINFO.exists():
        return sys.maxsize  # this system does not say, and a lack of memory shows when it comes
    for line in _MEMINFO.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise TestbedError(f"{_MEMINFO} does not say how much memory is available")


def _rooms() -> Iterator[int]:
    """Yield the bytes that each control group around this process leaves, with freeable caches."""
    if not _CGROUP.exists():
        return
    for line in _CGROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            files, root = ("memory.max", "memory.current", "inactive_file"), _CGROUPS
        elif "memory" in controllers.split(","):
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = _CGROUPS / "memory"
        else:
            continue
        group = root / path.strip("/")
        for outer in (group, *group.parents):
            if outer.is_relative_to(root):
                yield from _room(outer, *files)


def _room(group: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Yield the bytes that one control group leaves; nothing if it has no limit or is invisible."""
    try:
        most = (group / limit).read_text().strip()
        used = int((group / usage).read_text())
        statistics = (group / "memory.stat").read_text()
    except OSError:
        return
    if most != "max":
        cached = dict(line.split() for line in statistics.splitlines()).get(cache, "0")
        yield max(0, int(most) - used + int(cached))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
