"""Sandboxes end cleanly, are independent, and leave nothing behind."""

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.emulation import namespace_advice, sandbox
from testbed.emulation.sandbox import SCRATCH
from testbed.errors import TestbedError
from testbed.exit_codes import INTERRUPTED, OVERDUE
from testbed.host import children
from tests.emulation.inside import inside_sandbox, need_sandbox

ROOT = Path(__file__).parents[2]

OUTER = """
import sys
from testbed.emulation.sandbox import run_in_sandbox
sys.exit(run_in_sandbox([sys.executable, "-c", sys.argv[1], *sys.argv[2:]]))
"""

INNER = """
import sys, tempfile, time
from testbed.emulation.sandbox import enter
enter()
from testbed.calibration.preflight import check_links
from testbed.emulation.network import Network
from testbed.topology.declarations import load_topology
from testbed.links.spec import Duplex, LinkSpec
spec = LinkSpec(rate=5e6, delay=0.01)
try:
    with Network(load_topology("edge"), {"radio": Duplex(spec, spec)}, "relay", 1) as network:
        network.popen("device", ["sleep", "61.5"])
        network.popen("device", ["sh", "-c", "mktemp >/dev/null"]).wait()
        tempfile.mkdtemp()
        check_links(network)
        print("ready", flush=True)
        time.sleep(30)
except KeyboardInterrupt:
    print("cleaned up", flush=True)
    sys.exit(7)
"""

STUBBORN = """
import signal, time
from testbed.emulation.sandbox import enter
enter()
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(30)
"""


QUICK = """
import sys, time
from testbed.emulation.sandbox import enter
enter()
print("ready", flush=True)
try:
    time.sleep(30)
except KeyboardInterrupt:
    print("cleaned up", flush=True)
    sys.exit(7)
"""


def start(inner, python=sys.executable, outer=OUTER, **kwargs):
    need_sandbox()
    process = subprocess.Popen(
        [python, "-c", outer, inner], stdout=subprocess.PIPE, text=True, **kwargs
    )
    assert process.stdout.readline() == "ready\n"
    return process


def descendants(pid):
    """Return the processes below `pid` as (pid, start time), which no later process shares."""
    found, parents = {}, {pid}
    rows = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        rows[int(stat.parent.name)] = (int(fields[1]), fields[19])
    while parents:
        parents = {child for child, (parent, _) in rows.items() if parent in parents}
        found |= {child: rows[child][1] for child in parents}
    return found


def is_python(pid):
    return "python" in Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


def alive(processes):
    left = []
    for pid, started in processes.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[19] == started and fields[0] != "Z":
            left.append(pid)
    return left


def namespaces_of(processes):
    return {
        str(Path(f"/proc/{pid}/ns/{kind}").readlink())
        for pid in processes
        for kind in ("net", "mnt", "pid")
    }


def inhabited(namespaces, since):
    """Return those of `namespaces` with a process that was started before `since` (clock ticks).

    Later processes do not count: the kernel gives the numbers of dead namespaces to new ones.
    """
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            started = int((entry / "stat").read_text().rpartition(")")[2].split()[19])
            if started <= since:
                found |= namespaces & namespaces_of([entry.name])
    return found


def ticks():
    """Return the clock ticks since boot, the unit of processes' start times."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def interfaces():
    shown = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True)
    return {link["ifname"] for link in json.loads(shown.stdout)}


@pytest.fixture
def adopt_orphans():
    """Adopt orphaned processes and reap them, as some inits take seconds to do so."""
    set_child_subreaper = 36
    libc = ctypes.CDLL(None)
    libc.prctl(set_child_subreaper, 1)

    def reap(processes):
        for pid in processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    yield reap
    libc.prctl(set_child_subreaper, 0)


@pytest.mark.emulation
def test_kill_9_leaves_nothing_behind(adopt_orphans, tmp_path):
    interfaces_before = interfaces()
    own = namespaces_of([os.getpid()])
    outer = start(INNER, env={**os.environ, "TMPDIR": str(tmp_path)})
    processes = descendants(outer.pid)
    made = namespaces_of(processes) - own
    # unshare, Python, 3 shells, relay, sleep; net, mnt and pid of the sandbox and of each node.
    assert len(processes) >= 7
    assert len(made) >= 9
    killed = ticks()
    assert inhabited(made, killed) == made

    outer.kill()
    outer.wait()
    time.sleep(1)
    adopt_orphans(processes)

    assert alive(processes) == []
    assert inhabited(made, killed) == set()
    assert interfaces() == interfaces_before
    assert list(tmp_path.iterdir()) == []
    assert list(SCRATCH.iterdir()) == [SCRATCH / "README"]


@pytest.mark.emulation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_inside_clean_up(number):
    outer = start(INNER)
    processes = descendants(outer.pid)
    outer.send_signal(number)
    said, _ = outer.communicate(timeout=60)
    assert said == "cleaned up\n"
    assert outer.returncode == 7
    assert alive(processes) == []


@pytest.mark.emulation
def test_an_inside_that_does_not_stop_is_killed():
    hurried = OUTER.replace(
        "sys.exit(", "import testbed.host.children as c; c.GRACE = 0.5\nsys.exit("
    )
    outer = start(STUBBORN, outer=hurried)
    began = time.monotonic()
    outer.send_signal(signal.SIGINT)
    assert outer.wait(timeout=60) == OVERDUE
    assert time.monotonic() - began > 0.4
    outer.stdout.close()


@pytest.mark.emulation
def test_a_hangup_is_an_interruption_unless_it_is_ignored():
    outer = start(QUICK)
    outer.send_signal(signal.SIGHUP)
    assert outer.communicate(timeout=60)[0] == "cleaned up\n"
    assert outer.returncode == 7
    outer = start(QUICK, outer="import signal; signal.signal(1, signal.SIG_IGN)" + OUTER)  # nohup
    outer.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        outer.wait(0.5)
    outer.send_signal(signal.SIGTERM)
    assert outer.communicate(timeout=60)[0] == "cleaned up\n"


@pytest.mark.emulation
def test_whoever_waits_for_a_sandbox_that_was_stopped_is_told_how_it_goes_on():
    impatient = OUTER.replace(
        "sys.exit(", "import testbed.emulation.sandbox as s; s.PATIENCE = 0.2\nsys.exit("
    )
    outer = start(QUICK, outer=impatient, stderr=subprocess.PIPE)
    (init,) = (pid for pid in descendants(outer.pid) if is_python(pid))
    os.kill(init, signal.SIGSTOP)
    said = outer.stderr.readline()
    assert said == (
        f"warning: a sandbox has been stopped for 0.2 s; it goes on after `kill -CONT {init}`\n"
    )
    os.kill(init, signal.SIGCONT)
    outer.send_signal(signal.SIGINT)
    assert outer.communicate(timeout=60) == ("cleaned up\n", "")


@pytest.mark.emulation
@pytest.mark.parametrize(
    ("body", "number", "code", "said"),
    [
        ("print('ready', flush=True); time.sleep(30)", signal.SIGINT, 130, ""),
        ("print('ready', flush=True); time.sleep(30)", signal.SIGTERM, 130, ""),
        (
            "print('ready', flush=True); raise OSError(28, 'x', '/r/x')",
            0,
            70,
            "error: /r/x: no space is left on the device; free some\n",
        ),
    ],
)
def test_what_ends_a_program_while_it_is_imported_is_no_traceback(
    tmp_path, body, number, code, said
):
    (tmp_path / "slow.py").write_text(f"import time\n{body}\n")
    outer = """
import sys
from testbed.emulation.inside import inside_command
from testbed.emulation.sandbox import run_in_sandbox
sys.exit(run_in_sandbox(inside_command(sys.argv[1])))
"""
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths}
    process = start("slow", outer=outer, env=environment, stderr=subprocess.PIPE)
    if number:
        process.send_signal(number)
    assert process.communicate(timeout=60) == ("", said)
    assert process.returncode == code


@pytest.mark.emulation
def test_two_sandboxes_side_by_side():
    first, second = start(INNER), start(INNER)
    assert not namespaces_of(descendants(first.pid)) & (
        namespaces_of(descendants(second.pid)) - namespaces_of([os.getpid()])
    )
    first.send_signal(signal.SIGINT)
    assert first.communicate(timeout=60)[0] == "cleaned up\n"
    assert second.poll() is None
    second.send_signal(signal.SIGINT)
    assert second.communicate(timeout=60)[0] == "cleaned up\n"


@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_without_root():
    python = shutil.which("python3", path="/usr/bin")
    if python is None or ROOT.stat().st_mode & 0o005 != 0o005:
        pytest.skip("no Python that every user may run")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *packages]), "HOME": "/"}
    trial = subprocess.run(
        [python, "-c", "from testbed.emulation.sandbox import check_sandbox; check_sandbox()"],
        user="nobody", env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if trial.returncode != 0:
        pytest.skip(trial.stderr.strip().splitlines()[-1])
    outer = start(INNER, python=python, user="nobody", group="nogroup", extra_groups=[], env=env)
    processes = descendants(outer.pid)
    assert len(processes) >= 7
    outer.kill()
    outer.wait()
    outer.stdout.close()
    time.sleep(1)
    assert alive(processes) == []


@inside_sandbox
def test_a_sandbox_hides_no_file_of_a_checkout():
    listed = ["git", "-C", str(ROOT), "ls-files", "--deleted", "testbed"]
    done = subprocess.run(listed, capture_output=True, text=True, check=False)
    assert done.stdout == ""


@pytest.mark.emulation
def test_the_exit_code_comes_through():
    need_sandbox()
    assert sandbox.run_in_sandbox(["sh", "-c", "exit 5"]) == 5


@pytest.mark.emulation
def test_the_environment_comes_through():
    need_sandbox()
    code = sandbox.run_in_sandbox(["sh", "-c", 'test "$X" = y'], env={**os.environ, "X": "y"})
    assert code == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (INTERRUPTED, "was interrupted"),
        (OVERDUE, "was interrupted, and killed as it did not end within 10 s"),
        (128 + signal.SIGKILL, "ended with signal SIGKILL"),
        (70, "ended with exit code 70"),
    ],
)
def test_the_end_of_a_sandbox_is_said_in_words(code, said):
    assert children.ending(code) == said


def test_enter_refuses_to_touch_the_outside():
    with pytest.raises(TestbedError, match="not in a sandbox"):
        sandbox.enter()


@pytest.mark.parametrize(
    ("program", "advice"), [("unshare", "util-linux"), ("mnexec", "apt install mininet")]
)
def test_a_missing_program_is_named(monkeypatch, program, advice):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None if name == program else name)
    with pytest.raises(TestbedError, match=f"`{program}` is missing.*{advice}"):
        sandbox.check_sandbox()


CONTAINER = "start the container with `--privileged`"
MAXIMUM = "user.max_user_namespaces"
NETWORKS = "user.max_net_namespaces"
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


@pytest.mark.parametrize(
    ("case", "advice"),
    [
        ((0, "no", {APPARMOR: "1"}), CONTAINER),
        ((1000, "unshare: mount /proc failed: no", {}), CONTAINER),
        ((1000, "mount: no", {APPARMOR: "1"}), f"run as root or as root `sysctl {APPARMOR}=0`"),
        ((1000, "no", {}), "run as root"),
        ((1000, "no", {APPARMOR: "0", MAXIMUM: "5"}), "run as root"),
        ((0, "no", {NETWORKS: "0"}), f"as root `sysctl {NETWORKS}=28633`"),
        ((1000, "no", {NETWORKS: "0", APPARMOR: "1"}), f"as root `sysctl {NETWORKS}=28633`"),
        ((1000, "no", {APPARMOR: "1"}), f"run as root or as root `sysctl {APPARMOR}=0`"),
        (
            (1000, "no", dict.fromkeys(["kernel.unprivileged_userns_clone", MAXIMUM], "0")),
            "run as root or as root `sysctl user.max_user_namespaces=28633` and as root "
            "`sysctl kernel.unprivileged_userns_clone=1`",
        ),
    ],
)
def test_forbidden_namespaces_are_explained(monkeypatch, tmp_path, case, advice):
    uid, said, settings = case
    for name, value in settings.items():
        path = tmp_path / name.replace(".", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{value}\n")
    monkeypatch.setattr(namespace_advice, "_SETTINGS", tmp_path)
    monkeypatch.setattr(sandbox.os, "geteuid", lambda: uid)
    script = f"echo noise >&2; echo '{said}' >&2; exit 1"
    monkeypatch.setattr(sandbox, "_sandbox_command", lambda: ["sh", "-c", script])
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: name)
    with pytest.raises(TestbedError) as caught:
        sandbox.check_sandbox()
    assert str(caught.value) == f"namespaces are not permitted here ({said}); {advice}"


@pytest.mark.emulation
@pytest.mark.parametrize("kind", ["net", "mnt", "pid"])
def test_a_limit_of_namespaces_that_root_meets_too_is_named(kind):
    limit = f"user/max_{kind}_namespaces"
    check = "from testbed.emulation.sandbox import check_sandbox; check_sandbox()"
    script = f'echo 0 >/proc/sys/{limit} || exit 3; exec {sys.executable} -c "{check}"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip
    if done.returncode == 3 or "unshare: " in done.stderr.partition("\n")[0]:
        pytest.skip(done.stderr.strip())
    assert done.stderr.endswith(f"; as root `sysctl user.max_{kind}_namespaces=28633`\n")


@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a part of /proc or /sys")
@pytest.mark.parametrize(
    ("hidden", "named"),
    [("mount --bind /dev/null /proc/keys", "/proc"), ("mount -o bind,remount,ro /sys", "/sys")],
)
def test_a_container_that_hides_a_part_of_the_kernel_is_told_apart(hidden, named):
    need_sandbox()
    check = [sys.executable, "-m", "testbed", "guest", "--", "true"]
    inside = f"{hidden} && exec unshare --user --map-root-user --mount {shlex.join(check)}"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip
    if "linux.uml" in done.stderr or "mount point" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert named in done.stderr
    assert done.stderr.endswith(f"; {CONTAINER}\n")


@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_without_the_right_to_namespaces_takes_those_of_a_user():
    check = "from testbed.emulation.sandbox import check_sandbox; check_sandbox()"
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", check],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    need_sandbox()
    assert done.stderr == ""
