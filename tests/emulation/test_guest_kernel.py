"""The needs of the guest kernel, and the errors when it dies; boots no kernel."""

import errno
import select
import shlex
import subprocess

import pytest

from testbed.emulation import guest_kernel, guest_wire, tc
from testbed.emulation.guest_wire import GuestNetemWire
from testbed.emulation.tc import Tc
from testbed.errors import TestbedError
from testbed.host.machine_errors import TOO_LARGE, sentence

TOO_MANY = sentence(OSError(errno.EMFILE, ""))
AMX = "processor : 0\nflags : fpu avx512f amx_bf16 amx_tile amx_int8\n"
PLAIN = "processor : 0\nflags : fpu avx512f\nbugs : amx_tile\n"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    def describe(text, machine="x86_64"):
        monkeypatch.setattr(guest_kernel.platform, "machine", lambda: machine)
        monkeypatch.setattr(guest_kernel, "CPUINFO", tmp_path / "cpuinfo")
        guest_kernel.CPUINFO.write_text(text)

    return describe


def test_a_compiler_is_needed_only_where_registers_are_wide(processor, monkeypatch):
    monkeypatch.setattr(guest_kernel, "find_program", lambda name: None if name == "cc" else name)
    monkeypatch.setattr(guest_kernel, "MODULES", guest_kernel.CPUINFO)
    monkeypatch.setattr(guest_kernel, "TUN", guest_kernel.CPUINFO)
    processor(PLAIN)
    assert guest_kernel.guest_missing() == ""
    assert guest_kernel.guest_packages() == "user-mode-linux kmod"
    processor(AMX)
    assert guest_kernel.guest_missing() == "cc"
    assert guest_kernel.guest_advice() == "`apt install user-mode-linux kmod gcc libc6-dev`"
    with pytest.raises(TestbedError, match=r"needs cc; install it with .*kmod gcc libc6-dev`"):
        guest_kernel.require_guest()


def test_there_is_no_guest_for_other_processors_and_no_advice(processor):
    processor("Features : fp asimd\n", "aarch64")
    needed = "an x86_64 processor, and this one is aarch64"
    assert guest_kernel.guest_missing() == needed
    assert guest_kernel.guest_advice() == ""
    with pytest.raises(TestbedError, match=f"^the guest kernel needs {needed}$"):
        guest_kernel.require_guest()


def test_a_wire_needs_its_devices_and_a_command_does_not(processor, tmp_path, monkeypatch):
    processor(PLAIN)
    monkeypatch.setattr(guest_kernel, "find_program", lambda name: name)
    monkeypatch.setattr(guest_kernel, "MODULES", tmp_path)
    monkeypatch.setattr(guest_kernel, "TUN", tmp_path / "tun")
    assert guest_kernel.guest_missing() == str(tmp_path / "tun")
    guest_kernel.require_guest()
    assert "modprobe tun" in guest_kernel.guest_advice()
    guest_kernel.TUN.touch()
    assert guest_kernel.guest_missing() == guest_kernel.guest_advice() == ""
    monkeypatch.setattr(guest_kernel.os, "access", lambda *_: False)
    assert guest_kernel.guest_missing() == f"access to {tmp_path / 'tun'}"
    assert f"chmod 0666 {tmp_path / 'tun'}" in guest_kernel.guest_advice()


def test_the_registers_are_completed_only_where_they_are_wide(processor, tmp_path):
    processor(PLAIN)
    command = guest_kernel.guest_command(tmp_path / "init", 64, str(tmp_path), ["vec0:x"])
    assert command[0] == "linux.uml"
    assert command[-1] == "vec0:x"
    assert f"uml_dir={tmp_path}/" in command


def test_a_compiler_that_fails_is_an_error(processor, tmp_path, monkeypatch):
    processor(AMX)
    bad = tmp_path / "bad.c"
    bad.write_text("int main(")
    monkeypatch.setattr(guest_kernel, "_COMPLETION", bad)
    if guest_kernel.find_program("cc") is None:
        pytest.skip("no compiler")
    with pytest.raises(TestbedError, match="cannot run on this processor"):
        guest_kernel.guest_command(tmp_path / "init", 64, str(tmp_path))


def prints(*lines: str) -> str:
    """Return a shell script that prints all lines at once."""
    return shlex.join(["printf", r"%s\n", *lines])


READY = f"{prints('guest wire ready')}; sleep 60"
MOUNT = "mount: /proc: must be superuser to use mount."
PANIC = "Kernel panic - not syncing: Attempted to kill init!"


@pytest.fixture
def guest(monkeypatch):
    """Return a function that starts a wire whose guest is a shell script, another at each try."""
    for module in (tc, guest_wire):
        monkeypatch.setattr(module, "PATIENCE", 0.3)
    started = []

    def boot(self):
        pipe = subprocess.PIPE
        argv = ["sh", "-c", scripts[len(started)]]
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True)
        if not argv[-1].startswith("sleep"):  # its silence counts from what it prints, or its end
            select.select([process.stdout], [], [])
        started.append(Tc(process, "link radio"))
        return started[-1]

    def start(*given):
        scripts[:] = given
        wire = GuestNetemWire.__new__(GuestNetemWire)
        wire.name = "radio"
        assert wire.start() is started[-1]
        return started

    scripts = []
    monkeypatch.setattr(GuestNetemWire, "_boot", boot)
    yield start
    assert all(each.process.returncode is not None for each in started[:-1])
    for each in started:
        each.kill()


def test_a_guest_that_boots_is_booted_once(guest):
    assert len(guest(READY)) == 1


@pytest.mark.parametrize("first", ["sleep 60", prints(PANIC), "printf half; sleep 60"])
def test_a_guest_that_hangs_or_dies_is_booted_once_more(guest, first):
    assert len(guest(first, READY)) == 2


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sleep 60", "it said nothing for 0.3 s"),
        ("true", "it said nothing (exit code 0)"),
        ("kill -XFSZ $$", f"it said nothing (signal SIGXFSZ: {TOO_LARGE})"),
        (prints("modprobe: Too many open files"), f"modprobe: Too many open files; {TOO_MANY}"),
        (prints("mount: libc.so.6: Error 24"), f"mount: libc.so.6: Error 24; {TOO_MANY}"),
        (f"{prints('one', 'two', 'three')}; sleep 60", "two; three; it said nothing for 0.3 s"),
        (prints("errno = 14", PANIC, "Stack:"), f"errno = 14; {PANIC}"),
        (
            prints("zswap: no", "guest wire starts", MOUNT, "dmesg(1) may have more", PANIC, "S:"),
            f"{MOUNT}; {PANIC}",
        ),
    ],
)
def test_a_guest_that_never_boots_says_why_how_long_and_how_often(guest, script, why):
    with pytest.raises(TestbedError) as caught:
        guest(script, script)
    said = str(caught.value)
    assert said.startswith("the guest kernel of link radio did not start, 2 times in ")
    assert said.endswith(f" s: {why}; use `--backend relay`")
