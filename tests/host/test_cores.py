"""Usable processors, by affinity and by the quota of control groups."""

from __future__ import annotations

import os

import pytest

from testbed.errors import TestbedError
from testbed.experiment.jobs import require_processors
from testbed.host import cores

V1 = {
    "cgroup": "4:memory:/a\n2:cpu,cpuacct:/a/b\n0::/\n",
    "mountinfo": "31 23 0:28 / {top}/memory rw - cgroup cgroup rw,memory\n"
    "32 23 0:29 / {top}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n",
}
V2 = {"cgroup": "0::/a/b\n", "mountinfo": "32 23 0:29 / {top}/cpu rw - cgroup2 cgroup2 rw\n"}
V2_CONTAINER = {
    "cgroup": "0::/../../a/b\n",
    "mountinfo": "32 23 0:29 /../../a/b {top}/cpu/a/b rw - cgroup2 cgroup2 rw\n",
}
V1_CONTAINER = {
    "cgroup": "2:cpu:/host/c\n",
    "mountinfo": "32 23 0:29 /host/c {top}/cpu/a/b ro - cgroup cgroup rw,cpu\n",
}
NO_GROUPS = {"mountinfo": ""}


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Return a function that sets the control groups of this process and their quotas."""

    def prepare(proc, quotas):
        for name, text in proc.items():
            (tmp_path / name).write_text(text.replace("{top}", str(tmp_path)))
        (tmp_path / "cpu/a/b").mkdir(parents=True)
        for name, text in quotas.items():
            (tmp_path / "cpu" / name).write_text(f"{text}\n")
        monkeypatch.setattr(cores, "_PROC", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))

    return prepare


def v1(quota, where="a/b"):
    return {f"{where}/cpu.cfs_quota_us": quota, f"{where}/cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("proc", "quotas", "quota"),
    [
        (NO_GROUPS, {}, None),
        (V2, {}, None),
        (V2, {"a/b/cpu.max": "max 100000"}, None),
        (V2, {"a/b/cpu.max": "150000 100000"}, 1.5),
        (V2, {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        (V2, {"a/b/cpu.max": "nonsense"}, None),
        (V2_CONTAINER, {"a/b/cpu.max": "300000 100000"}, 3),
        (V1, v1("-1"), None),
        (V1, v1("250000"), 2.5),
        (V1, {**v1("400000"), **v1("100000", "a")}, 1),
        (V1_CONTAINER, v1("200000"), 2),
    ],
)
def test_the_least_quota_of_all_groups_holds(groups, proc, quotas, quota):
    groups(proc, quotas)
    assert cores.cpu_quota() == quota
    assert cores.usable_cores() == max(1, int(min(8, quota or 8)))
    assert bool(cores.quota_warning()) == (quota is not None)


def test_a_quota_of_all_processors_is_none(groups):
    groups(V2, {"a/b/cpu.max": "1600000 100000"})
    assert cores.usable_cores() == 8
    assert cores.quota_warning() == ""


def test_jobs_share_what_the_quota_grants(groups):
    groups(V2, {"a/b/cpu.max": "250000 100000"})
    require_processors(2)
    with pytest.raises(TestbedError, match="must be 1 to 2"):
        require_processors(3)
    assert cores.quota_warning().startswith("a quota grants the time of 2.5 of 8 processors, and ")
