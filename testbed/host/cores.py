"""The processors that are ours: those of our affinity, but no more than a quota grants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc/self")


def usable_cores() -> int:
    """Return how many processors can be kept busy without being held back; at least one."""
    cores = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota() -> float | None:
    """Return how many processors' time the control groups of this process grant, None for all.

    Read from cpu.max (version 2) or cpu.cfs_quota_us and cpu.cfs_period_us (version 1) of each
    group above, for the least of them holds.
    """
    shares = [share for group in _groups() if (share := _share(group)) is not None]
    return min(shares, default=None)


def quota_warning() -> str:
    """Return what a quota means for a run here; empty without one that is less than the cores."""
    quota, cores = cpu_quota(), len(os.sched_getaffinity(0))
    if quota is None or quota >= cores:
        return ""
    # Documentation/scheduler/sched-bwc.rst of Linux; `--cpus` and `--cpuset-cpus` of docker-run.
    return (
        f"a quota grants the time of {quota:g} of {cores} processors, and once that is used all "
        "stands still until the next period, links too; give whole processors instead (cpuset, in "
        "Docker `--cpuset-cpus` and not `--cpus`)"
    )


def _share(group: Path) -> float | None:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
    except (OSError, ValueError):
        return None  # the topmost group has none
    return None if quota in ("max", "-1") else int(quota) / int(period)


def _groups() -> Iterator[Path]:
    """Yield the folders of the control groups that limit this process, and of those above."""
    if not (_PROC / "cgroup").exists():
        return  # a kernel without control groups
    mounts = [line.split() for line in (_PROC / "mountinfo").read_text().splitlines()]
    for line in (_PROC / "cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        for fields in mounts:
            kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
            first = kind == "cgroup" and "cpu" in options and "cpu" in controllers.split(",")
            second = kind == "cgroup2" and not controllers
            if first or second:
                # A container may have its own group mounted only, and not know of those above.
                inside = Path(own.removeprefix(fields[3]).lstrip("/"))
                top = Path(fields[4])
                if not (top / inside).is_dir():
                    inside = Path()
                yield from (top / part for part in (inside, *inside.parents))
