"""The commit of a checkout, as a run records it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from testbed.host import environment


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_commit_of_a_checkout_is_found_without_writing_into_it(tmp_path, monkeypatch):
    (tmp_path / "testbed/host").mkdir(parents=True)
    file = tmp_path / "testbed/host/environment.py"
    file.write_text("as committed")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init"], ["add", "."], [*identity, "commit", "-m", "one"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)
    monkeypatch.setattr(environment, "__file__", str(file))
    index = tmp_path / ".git/index"
    before = index.read_bytes()
    os.utime(file, (1, 1))  # git looks whether it has changed, and would note that it has not
    commit = environment._commit()
    assert commit is not None
    assert not commit.endswith("-dirty")
    file.write_text("changed")
    assert environment._commit() == f"{commit}-dirty"
    assert index.read_bytes() == before
    shutil.rmtree(tmp_path / ".git/objects")
    assert environment._commit() is None


def test_a_system_that_is_not_linux_is_described_as_far_as_it_says(monkeypatch, tmp_path):
    def missing():
        raise OSError

    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(environment.platform, "freedesktop_os_release", missing)
    for name in ("sched_getaffinity", "getloadavg"):
        monkeypatch.delattr(os, name)
    found = environment.describe_environment()
    assert found["system"] == environment.platform.platform()
    assert found["processor"].startswith(environment.platform.machine())
    assert found["cores"] == os.cpu_count()
    assert found["load"] is None
