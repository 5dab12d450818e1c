"""What the guest kernel needs here, and what it says when it dies; boots nothing."""

import pytest

from testbed.emulation import guest_kernel
from testbed.emulation.guest_wire import _gist
from testbed.errors import TestbedError

AMX = "processor : 0\nflags : fpu avx512f amx_bf16 amx_tile amx_int8\n"
PLAIN = "processor : 0\nflags : fpu avx512f\nbugs : amx_tile\n"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    def describe(text):
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
    with pytest.raises(TestbedError, match=r"needs cc; install it with .*kmod gcc libc6-dev`"):
        guest_kernel.require_guest()


def test_a_wire_needs_its_devices_and_a_command_does_not(processor, tmp_path, monkeypatch):
    processor(PLAIN)
    monkeypatch.setattr(guest_kernel, "find_program", lambda name: name)
    monkeypatch.setattr(guest_kernel, "MODULES", tmp_path)
    monkeypatch.setattr(guest_kernel, "TUN", tmp_path / "tun")
    assert guest_kernel.guest_missing() == str(tmp_path / "tun")
    guest_kernel.require_guest()
    guest_kernel.TUN.touch()
    monkeypatch.setattr(guest_kernel.os, "access", lambda *_: False)
    assert guest_kernel.guest_missing() == f"access to {tmp_path / 'tun'} (run as root)"


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


@pytest.mark.parametrize(
    ("said", "gist"),
    [
        ([], "it said nothing"),
        (["one", "two", "three"], "two; three"),
        (["one", "errno = 14", "Kernel panic", "Stack:"], "errno = 14; Kernel panic"),
    ],
)
def test_of_a_dying_kernel_only_the_reason_is_told(said, gist):
    assert _gist(said) == gist
