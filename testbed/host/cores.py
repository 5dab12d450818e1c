"""Number of processors that this process may use: its affinity, limited by a quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc/self")


def processors() -> list[int]:
    """Return the ids of the processors that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Return how many processors this process can keep busy without being throttled; at least 1."""
    cores = len(processors())
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota() -> float | None:
    """Return the quota of processor time of this process, in processors; None without a quota.

    Read from cpu.max (version 2) or cpu.cfs_quota_us and cpu.cfs_period_us (version 1) of its
    control group and those above; the smallest applies.
    """
    shares = [share for group in _groups() if (share := _share(group)) is not None]
    return min(shares, default=None)


def quota_warning() -> str:
    """Return a warning about a quota below the number of cores; empty if there is none."""
    quota, cores = cpu_quota(), len(processors())
    if quota is None or quota >= cores:
        return ""
    # Documentation/scheduler/sched-bwc.rst of Linux; `--cpus` and `--cpuset-cpus` of docker-run.
    return (
        f"a quota grants the time of {quota:g} of {cores} processors, and when it is used up all "
        "processes and links stop until the next period; grant whole processors instead (cpuset; "
        "in Docker `--cpuset-cpus`, not `--cpus`)"
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
        return None  # the topmost group has no quota
    return None if quota in ("max", "-1") else int(quota) / int(period)


def _groups() -> Iterator[Path]:
    """Yield the folders of the control groups of this process and of those above."""
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
                # A container may see only its own group, and not those above.
                inside = Path(own.removeprefix(fields[3]).lstrip("/"))
                top = Path(fields[4])
                if not (top / inside).is_dir():
                    inside = Path()
                yield from (top / part for part in (inside, *inside.parents))
