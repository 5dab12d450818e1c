"""`testbed run` on `auto` as root, as an ordinary user and as root of a user namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from testbed.captures import Entry
from testbed.emulation.guest_kernel import TUN
from testbed.emulation.setgroups import ignoring_setgroups
from tests.emulation.inside import need_sandbox
from tests.whole_run import ROOT, only_busy, results

SCENARIO = ROOT / "scripts/scenarios/synthetic.yaml"
USERS = ["root", "an ordinary user", "root of a user namespace"]


@pytest.fixture
def folder():
    """One that every user may write to, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def as_user(user: str) -> tuple[list[str], str | None]:
    """The Python that such a user can run, and a user to become before."""
    if user == "root":
        return [sys.executable], None
    if user == "root of a user namespace":
        return ["unshare", "--user", "--map-root-user", sys.executable], None
    # Debian's Python, which every user may run.
    python = shutil.which("python3", path="/usr/bin")
    if python is None or ROOT.stat().st_mode & 0o005 != 0o005:
        pytest.skip("no Python that every user may run")
    return [python], "nobody"


@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("user", USERS)
def test_a_run_of_any_user_is_valid_and_every_byte_of_it_has_a_use(folder, user):
    need_sandbox()
    python, name = as_user(user)
    temporary = folder / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
        **({"HOME": "/nowhere"} if name else {}),
        "TMPDIR": str(temporary),
        "TESTBED_CACHE": str(folder / "cache"),
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*python, *arguments], user=name, env=environment, cwd=folder,
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    trial = call("-c", "from testbed.emulation.sandbox import check_sandbox; check_sandbox()")
    if trial.returncode != 0:
        pytest.skip(trial.stderr.strip().splitlines()[-1])
    done = call("-m", "testbed", "run", str(SCENARIO), "--out", str(folder / "out"))
    assert done.returncode == 0 or only_busy(folder / "scenario"), done.stdout + done.stderr
    assert "warning" not in done.stdout
    found = results(folder / "scenario")
    (run,) = (found.path / "runs").iterdir()
    entries = msgspec.json.decode((run / "ledger.json").read_bytes(), type=list[Entry])
    assert [entry.unaccounted for entry in entries] == [0, 0]
    assert list(temporary.iterdir()) == []
    backend = done.stdout.partition("links by ")[2].partition(", results")[0]
    reasons = [line for line in done.stdout.splitlines() if line.startswith("links by relay, as ")]
    assert len(reasons) == (backend == "relay")
    if name == "nobody" and backend == "relay" and not os.access(TUN, os.R_OK):
        assert str(TUN) in reasons[0]


def test_groups_are_given_up_where_they_can_be(tmp_path, monkeypatch):
    state = tmp_path / "setgroups"
    monkeypatch.setattr("testbed.emulation.setgroups._STATE", state)
    state.write_text("allow\n")
    assert ignoring_setgroups() is None
    state.unlink()  # a kernel without user namespaces
    assert ignoring_setgroups() is None
    state.write_text("deny\n")
    monkeypatch.setattr("platform.machine", lambda: "vax")
    assert ignoring_setgroups() is None
