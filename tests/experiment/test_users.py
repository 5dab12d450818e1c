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

from testbed.audit.capture_evidence import Entry
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.netem import probe_netem
from testbed.emulation.setgroups import ignoring_setgroups
from tests.emulation.inside import need_sandbox
from tests.support.whole_run import ROOT, only_busy, results

SCENARIO = ROOT / "scripts/scenarios/synthetic.yaml"
USERS = ["root", "an ordinary user", "root of a user namespace"]

OWN_TUN = "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200"
NO_TUN = "mount -t tmpfs tmpfs /dev/net"
PREFIXES = {
    "root": [],
    # With nothing of root's but the device that lets a guest carry frames.
    "an ordinary user": [
        *("unshare", "--mount", "sh", "-c"),
        f'[ ! -d /dev/net ] || {{ {OWN_TUN}; }}; exec "$0" "$@"',
        *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    ],
    # Without that device: the relay takes over.
    "root of a user namespace": [
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
        f'[ ! -d /dev/net ] || {NO_TUN}; exec "$0" "$@"',
    ],
}


@pytest.fixture
def folder():
    """One that every user may write to, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def python(user):
    """Return a Python that this user can run: for others than root, Debian's of our version."""
    if user != "an ordinary user":
        return sys.executable
    found = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin")
    if found is None or ROOT.stat().st_mode & 0o005 != 0o005:
        pytest.skip("no Python of this version that every user may run")
    return found


def expected(user: str) -> str:
    """Return the backend that `auto` should choose."""
    if probe_netem().available:
        return "netem"
    return "relay" if guest_missing() or user == "root of a user namespace" else "guest netem"


@pytest.mark.parallel
@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("user", USERS)
def test_a_run_of_any_user_is_valid_and_every_byte_of_it_has_a_use(folder, python, user):
    need_sandbox()
    temporary = folder / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]),
        "TMPDIR": str(temporary),
        "TESTBED_CACHE": str(folder / "cache"),
    }
    if user == "an ordinary user":
        environment["HOME"] = "/nowhere"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PREFIXES[user], python, *arguments], env=environment, cwd=folder,
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    trial = call("-c", "from testbed.emulation.sandbox import check_sandbox; check_sandbox()")
    if trial.returncode != 0:
        pytest.skip(trial.stderr.strip().splitlines()[-1])
    done = call("-m", "testbed", "run", str(SCENARIO), "--out", str(folder / "out"))
    assert done.returncode == 0 or only_busy(folder / "scenario"), done.stdout + done.stderr
    assert "not captured" not in done.stdout
    found = results(folder / "scenario")
    (run,) = (found.path / "runs").iterdir()
    entries = msgspec.json.decode((run / "ledger.json").read_bytes(), type=list[Entry])
    assert [entry.unaccounted for entry in entries] == [0, 0]
    assert list(temporary.iterdir()) == []

    backend = done.stdout.partition("links by ")[2].partition(", results")[0]
    assert backend == expected(user)
    reasons = [line for line in done.stdout.splitlines() if line.startswith("links by relay, as ")]
    assert len(reasons) == (backend == "relay")
    assert backend != "relay" or "guest kernel needs " in reasons[0]


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
