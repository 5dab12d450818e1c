"""`testbed doctor`: each check passing and failing, and the whole command on this machine."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from testbed import cli
from testbed.doctor import emulation, examine, machine
from testbed.doctor.record import Finding
from testbed.emulation import backend, sandbox, wire_probe, wire_trial
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.namespace_advice import namespace_advice
from testbed.emulation.netem import Probe
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.wire_trial import Report
from testbed.errors import TestbedError
from testbed.host.environment import processor
from testbed.models import engines
from testbed.models.store.fetch import default_path
from testbed.output.console import Console
from tests.emulation.inside import inside_sandbox, need_sandbox
from tests.support.whole_run import processes_of

NO_NETEM = Probe(False, "unknown")
NETEM = Probe(True, "")


def raising(error):
    def function(*_arguments, **_keywords):
        raise error

    return function


@pytest.fixture(autouse=True)
def fresh_probe():
    for trial in (emulation.relay_report, emulation.guest_boot):
        trial.cache_clear()
    yield
    for trial in (emulation.relay_report, emulation.guest_boot):
        trial.cache_clear()


# --- programs -------------------------------------------------------------------------------------


def test_a_program_is_found_by_its_path(tmp_path, monkeypatch):
    program = tmp_path / "mnexec"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert emulation.check_program("mnexec") == Finding("mnexec", "ok", str(program))


def test_the_folders_of_the_system_are_searched_too(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox.find_program("ip")
    sandbox.find_program("ip")
    assert os.environ["PATH"] == "/nowhere:/usr/sbin:/sbin"


@pytest.mark.parametrize(
    ("program", "state", "package"),
    [
        ("mnexec", "missing", "mininet"),
        ("ping", "missing", "iputils-ping"),
        ("sysctl", "missing", "procps"),
        ("tcpdump", "warning", "tcpdump"),
    ],
)
def test_a_missing_program_names_its_package(monkeypatch, program, state, package):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    record = emulation.check_program(program)
    assert record.state == state
    assert record.advice == f"apt install {package}"


# --- kernel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("able", "how"), [(True, "as root"), (False, "user namespace")])
def test_namespaces_say_with_whose_rights(monkeypatch, able, how):
    monkeypatch.setattr(sandbox, "check_namespaces", lambda: None)
    monkeypatch.setattr(sandbox, "may_unshare", lambda: able)
    record = emulation.check_namespaces("namespaces")
    assert record.state == "ok"
    assert record.finding.count(how) == 1


def test_forbidden_namespaces_come_with_advice(monkeypatch):
    monkeypatch.setattr(sandbox, "_sandbox_command", lambda: ["sh", "-c", "echo no >&2; exit 1"])
    record = emulation.check_namespaces("namespaces")
    assert record.state == "missing"
    assert record.finding == "namespaces are not permitted here (no)"
    assert record.advice == namespace_advice("no")


def test_netem_is_wanted_but_not_needed(monkeypatch):
    monkeypatch.setattr(emulation, "probe_netem", lambda: NETEM)
    assert emulation.check_netem("n").state == "ok"
    monkeypatch.setattr(emulation, "probe_netem", lambda: NO_NETEM)
    record = emulation.check_netem("n")
    assert record.state == "warning"
    assert "(unknown)" in record.finding
    assert "modprobe sch_netem" in record.advice


def test_htb_is_tried_by_its_own_name(monkeypatch):
    tried = []

    def probe(*arguments):
        tried.append(arguments)
        return NO_NETEM if len(tried) == 1 else NETEM

    monkeypatch.setattr(emulation, "probe_qdisc", probe)
    assert emulation.check_htb("h").state == "warning"
    assert emulation.check_htb("h").state == "ok"
    assert tried[0][0] == "htb"


def test_the_default_congestion_control_is_wanted_but_not_needed(monkeypatch):
    monkeypatch.setattr(emulation, "why_not_offered", lambda _name: "")
    monkeypatch.setattr(emulation, "offered", lambda: "reno, cubic")
    record = emulation.check_congestion_control("TCP")
    assert record == Finding("TCP", "ok", "cubic works; this kernel offers reno, cubic")
    why = "this kernel offers reno; choose one of these, or try `modprobe tcp_cubic` as root"
    monkeypatch.setattr(emulation, "why_not_offered", lambda name: why * (name == "cubic"))
    record = emulation.check_congestion_control("TCP")
    assert (record.state, record.finding) == (
        "warning", "cubic, the default of scenarios, is missing: this kernel offers reno",
    )  # fmt: skip
    assert record.advice == "choose one of these, or try `modprobe tcp_cubic` as root"


def test_a_guest_that_is_not_installed_comes_with_what_to_install(monkeypatch):
    monkeypatch.setattr(emulation, "guest_missing", lambda: "linux.uml")
    monkeypatch.setattr(emulation, "guest_advice", lambda: "`apt install it`")
    record = emulation.check_guest("g")
    assert (record.state, record.advice) == ("warning", "`apt install it`")
    assert "lacks linux.uml" in record.finding
    assert emulation.why_no_guest() == "a guest kernel needs linux.uml"


def test_a_guest_is_booted_to_see_and_once_only(monkeypatch):
    tried = []
    monkeypatch.setattr(emulation, "guest_missing", lambda: "")
    monkeypatch.setattr(emulation, "try_guest", lambda: tried.append(1))
    record = emulation.check_guest("g")
    assert record.state == "ok"
    assert record.finding.startswith("boots and carries frames through netem, in ")
    assert emulation.why_no_guest() == ""
    assert len(tried) == 1


def test_a_guest_that_does_not_boot_says_why(monkeypatch):
    monkeypatch.setattr(emulation, "guest_missing", lambda: "")
    monkeypatch.setattr(emulation, "try_guest", raising(TestbedError("it panics")))
    record = emulation.check_guest("g")
    assert (record.state, record.advice) == ("warning", "")
    assert "(it panics)" in record.finding
    assert emulation.why_no_guest() == "it panics"


# --- relay ----------------------------------------------------------------------------------------


def test_relay_and_real_time_come_from_one_probe(monkeypatch):
    calls = []

    def probe(argv, _what, _seconds):
        calls.append(argv)
        return json.dumps({"realtime": True, "delay": 0.0003})

    monkeypatch.setattr(wire_trial, "try_in_sandbox", probe)
    assert emulation.check_relay("r") == Finding("r", "ok", "carries frames, adding 0.30 ms")
    assert emulation.check_real_time("t").state == "ok"
    assert len(calls) == 1


def test_a_slow_relay_without_priority_is_a_warning(monkeypatch):
    monkeypatch.setattr(emulation, "relay_report", lambda: Report(realtime=False, delay=0.0031))
    relay, realtime = emulation.check_relay("r"), emulation.check_real_time("t")
    assert (relay.state, realtime.state) == ("warning", "warning")
    assert "3.10 ms" in relay.finding
    assert "rtprio" in realtime.advice


@pytest.mark.parametrize(("netem", "state"), [(NETEM, "warning"), (NO_NETEM, "missing")])
def test_without_the_relay_netem_may_do(monkeypatch, netem, state):
    monkeypatch.setattr(wire_trial, "try_in_sandbox", raising(TestbedError("no veth")))
    monkeypatch.setattr(emulation, "probe_netem", lambda: netem)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    record = emulation.check_relay("relay")
    assert (record.state, record.advice) == (state, "run as root")
    assert "(no veth)" in record.finding


def test_a_probe_that_hangs_is_a_reason(monkeypatch):
    monkeypatch.setattr(subprocess, "run", raising(subprocess.TimeoutExpired("x", 10)))
    with pytest.raises(TestbedError, match=r"^a trial of relay did not end within 90 s$"):
        emulation.relay_report()


@inside_sandbox
def test_a_relay_that_carries_nothing_is_noticed(monkeypatch):
    class Stopped(RelayWire):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            self._process.kill()

    monkeypatch.setattr(backend, "RelayWire", Stopped)
    monkeypatch.setattr(wire_probe, "PATIENCE", 0.5)
    with pytest.raises(TestbedError, match="relay did not carry a frame"):
        wire_probe.probe("relay")


# --- machine --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([5], "5"), ([0, 1], "0-1"), ([0, 1, 2, 4, 6, 7], "0-2,4,6-7")]
)
def test_ranges(numbers, text):
    assert machine.ranges(numbers) == text


@pytest.mark.parametrize(("cores", "state"), [({3}, "warning"), ({0, 2}, "ok")])
def test_one_core_is_few(monkeypatch, cores, state):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    record = machine.check_cores("cores")
    assert record.state == state
    assert record.finding.startswith(f"{len(cores)} of 8 may be used: ")


def test_a_quota_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "quota_warning", lambda: "little is granted; take a cpuset")
    record = machine.check_cores("cores")
    assert (record.state, record.advice) == ("warning", "take a cpuset")
    assert record.finding.endswith("; little is granted")


def test_overshoot_is_what_a_sleep_lasts_too_long(monkeypatch):
    clock = [0.0]

    def sleep(seconds):
        clock[0] += seconds + 300e-6

    monkeypatch.setattr(machine, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    overshoot = machine.timer_overshoot()
    assert overshoot["p50"] == pytest.approx(300e-6, abs=10e-6)
    assert clock[0] == pytest.approx(200 * 1.3e-3)


@pytest.mark.parametrize(
    ("resolution", "p99", "state"),
    [(1e-9, 0.2e-3, "ok"), (1e-9, 1.2e-3, "warning"), (4e-3, 0.2e-3, "warning")],
)
def test_a_coarse_or_late_clock_is_a_warning(monkeypatch, resolution, p99, state):
    monkeypatch.setattr(machine.time, "clock_getres", lambda _clock: resolution)
    monkeypatch.setattr(machine, "timer_overshoot", lambda: {"p50": 1e-4, "p99": p99, "max": 1})
    record = machine.check_clock("clock")
    assert record.state == state
    assert f"{p99 * 1e3:.2f} ms (p99)" in record.finding


@pytest.mark.parametrize(
    ("text", "state", "finding"),
    [
        ("MemFree: 9 kB\nMemAvailable:  3000000 kB\n", "ok", "3.1 GB available"),
        ("MemFree: 9 kB\nMemAvailable:  1000000 kB\n", "warning", "1.0 GB available"),
        ("MemFree: 9000000 kB\n", "warning", "does not say"),
    ],
)
def test_memory(tmp_path, monkeypatch, text, state, finding):
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    machine.MEMINFO.write_text(text)
    record = machine.check_memory("memory")
    assert record.state == state
    assert finding in record.finding


def test_packages_that_this_processor_lacks_are_named(monkeypatch):
    monkeypatch.setattr(machine, "_COMPILED", ("json", "msgspec"))
    record = machine.check_processor("processor")
    assert record.state == "ok"
    assert record.finding == f"{processor()}; all compiled packages can be imported"
    monkeypatch.setattr(machine, "_COMPILED", ("json", "no_wheel", "msgspec"))
    record = machine.check_processor("processor")
    assert record.state == "warning"
    assert record.finding == (
        f"{processor()}: cannot be imported: no_wheel (No module named 'no_wheel')"
    )
    assert record.advice.startswith(f"install packages for {platform.machine()}; ")
    killed = "import os, sys; print(sys.argv[1], flush=True); os.kill(os.getpid(), 4)"
    monkeypatch.setattr(machine, "_IMPORT", killed)
    assert machine.check_processor("processor").finding.endswith("json (signal SIGILL)")


def test_engines_are_named_with_their_versions(monkeypatch):
    record = machine.check_engines("engines")
    assert (record.state, record.advice) == ("ok", "")
    torch, llama = version("torch"), version("xllamacpp")
    assert f"torch {torch}; llama.cpp: xllamacpp {llama}, " in record.finding
    monkeypatch.setattr(engines, "installed", lambda: False)
    record = machine.check_engines("engines")
    assert record.state == "warning"
    assert record.finding.endswith("; llama.cpp: not installed; .gguf files are not run")
    assert record.advice == "pip install .[llama]"


def test_models_are_fetched_or_not(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path))
    record = machine.check_models("models")
    assert (record.state, record.advice) == ("warning", "testbed models fetch")
    default_path().mkdir(parents=True)
    assert machine.check_models("models").state == "ok"


def test_disk_space_of_a_cache_that_is_yet_to_be_made(tmp_path, monkeypatch):
    asked = []

    def usage(folder):
        asked.append(folder)
        return SimpleNamespace(free=0.4e9 if len(asked) == 1 else 5e9)

    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(shutil, "disk_usage", usage)
    record = machine.check_disk("disk")
    assert record.state == "warning"
    assert record.finding.startswith("0.4 GB free")
    assert machine.check_disk("disk").state == "ok"
    assert asked == [tmp_path, tmp_path]
    monkeypatch.setattr(os, "access", lambda *_: False)
    record = machine.check_disk("disk")
    assert record.state == "warning"
    assert "TESTBED_CACHE" in record.advice


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "state"), [("namespaces", "missing"), ("clock", "warning")])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TestbedError("some reason"), "(some reason)"),
        (FileNotFoundError(2, "No such file", "unshare"), "(there is no unshare)"),
        (ZeroDivisionError("x"), "(ZeroDivisionError: x)"),
    ],
)
def test_a_failing_check_is_a_record(name, state, error, why):
    record = examine.run_check(name, raising(error))
    assert (record.name, record.state) == (name, state)
    assert why in record.finding


def test_all_checks_may_fail_at_once(monkeypatch):
    broken = raising(OSError("broken"))
    monkeypatch.setattr(examine, "CHECKS", dict.fromkeys(examine.CHECKS, broken))
    records = examine.examine()
    assert [record.name for record in records] == [*examine.CHECKS, "a run"]
    assert "ok" not in {record.state for record in records}
    assert records[-1].state == "missing"
    assert "mnexec" in records[-1].finding
    assert "clock" not in records[-1].finding


@pytest.mark.parametrize(
    ("kernels", "links"),
    [
        ((NETEM, ""), "netem, which"),
        ((NO_NETEM, ""), "guest netem, of"),
        (
            (NO_NETEM, "it panics"),
            "relay, as this kernel has no netem (sch_netem: unknown), and it",
        ),
    ],
)
@pytest.mark.parametrize(
    ("cores", "threads"),
    [(1, "1 thread per"), (2, "1 thread per"), (5, "2 threads per"), (9, "4 threads per")],
)
def test_what_a_run_uses(monkeypatch, kernels, links, cores, threads):
    netem, why_no_guest = kernels
    monkeypatch.setattr(backend, "probe_netem", lambda: netem)
    monkeypatch.setattr(emulation, "why_no_guest", lambda: why_no_guest)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    record = examine.what_a_run_uses("run", [Finding("a", "ok", ""), Finding("b", "warning", "")])
    assert record.state == "ok"
    assert f"links by {links}" in record.finding
    assert f"{threads} node" in record.finding


def test_the_table_fits_80_columns_and_drops_nothing():
    words = " ".join(f"[word{number}]" for number in range(40))
    path = "/" + "x" * 200
    records = [
        Finding(name, "missing", f"{words} {path}", "do this")
        for name in (*examine.CHECKS, "a run")
    ]
    out = io.StringIO()
    Console(file=out, width=80).print(examine.table(records))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for word in ("[word0]", "[word39]", "→ do this", *examine.CHECKS):
        assert word in out.getvalue()
    assert out.getvalue().count("x") >= 200 * len(records)


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("missing", 1)])
def test_the_exit_code_says_whether_runs_are_possible(monkeypatch, capsys, state, code):
    records = [Finding("one", "ok", "x"), Finding("two", state, "[y]", "z")]
    monkeypatch.setattr(examine, "examine", lambda: records)
    for arguments in (["doctor", "--json"], ["doctor"]):
        monkeypatch.setattr(sys, "argv", ["testbed", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == code
        said = capsys.readouterr().out
        if "--json" in arguments:
            assert msgspec.json.decode(said, type=list[Finding]) == records
        else:
            assert "[y]" in said


def doctor(*prefix, **environment):
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "testbed", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={**os.environ, **environment},
    )
    assert done.stderr == ""
    records = msgspec.json.decode(done.stdout, type=list[Finding])
    return done.returncode, {record.name: record for record in records}


@pytest.mark.emulation
def test_this_machine(tmp_path):
    need_sandbox()
    outside = sorted(path.name for path in Path("/sys/class/net").iterdir())
    code, records = doctor(TESTBED_CACHE=str(tmp_path / "cache"))
    assert code == 0
    assert list(records) == [*examine.CHECKS, "a run"]
    assert not [record for record in records.values() if "could not be" in record.finding]
    assert records["namespaces"].state == "ok"
    assert records["relay"].finding.startswith("carries frames")
    assert records["kernel guest"].state == ("warning" if guest_missing() else "ok")
    assert records["a run"].finding.startswith("is possible: links by ")
    assert records["models"].state == "warning"
    assert sorted(path.name for path in Path("/sys/class/net").iterdir()) == outside
    assert processes_of(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def without(capability):
    """Return the prefix of a command that takes a capability away from it, even as root."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    need_sandbox()
    return ["prlimit", "--rtprio=0", "setpriv", f"--bounding-set=-{capability}"]


@pytest.mark.emulation
def test_refused_real_time_priority_is_noticed():
    code, records = doctor(*without("sys_nice"))
    assert code == 0
    assert records["real time"].state == "warning"
    assert records["relay"].finding.startswith("carries frames")


@pytest.mark.emulation
def test_refused_namespaces_are_noticed():
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"]
    code, records = doctor(*prefix, *without("sys_admin"))
    assert code == 1
    assert records["namespaces"].state == "missing"
    assert "not permitted" in records["namespaces"].finding
    assert records["a run"].finding.endswith("missing: namespaces")
    for name in ("kernel netem", "kernel HTB", "relay", "real time", "kernel guest", "captures"):
        assert records[name].finding.startswith("not tried")


@pytest.mark.emulation
def test_refused_raw_sockets_are_noticed():
    _, records = doctor(*without("net_raw"))
    assert records["relay"].state != "ok"
    assert "permitted" in records["relay"].finding
