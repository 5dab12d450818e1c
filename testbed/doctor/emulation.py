"""Checks of what the emulation needs: programs, namespaces, kernel, relay."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time

import msgspec

from testbed.doctor.record import Record, State
from testbed.doctor.relay_probe import Report
from testbed.emulation import sandbox
from testbed.emulation.guest_kernel import guest_missing, guest_packages
from testbed.emulation.netem import probe_netem, probe_qdisc
from testbed.errors import TestbedError

OPTIONAL_PROGRAMS = {"tcpdump": "tcpdump"}

_GUEST = [
    *(sys.executable, "-m", "testbed.emulation.guest_shell", "256"),
    *("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"),
]
_GUEST_PATIENCE = 20.0  # seconds
_REPORT = "see what `testbed guest -- true` says; the relay does without"
_SLOW = 2e-3  # seconds: the relay adds 0.1 to 0.4 ms on a machine that is fit for it
_PATIENCE = 10.0  # seconds for the relay's probe, which takes a quarter of one


def check_program(name: str) -> Record:
    """Where a program is."""
    path = sandbox.find_program(name)
    if path is not None:
        return Record(name, "ok", path)
    if name in sandbox.PROGRAMS:
        return Record(name, "missing", "missing", f"apt install {sandbox.PROGRAMS[name]}")
    package = OPTIONAL_PROGRAMS[name]
    return Record(name, "warning", "missing; no run needs it", f"apt install {package}")


def check_namespaces(name: str) -> Record:
    """Whether sandboxes can be built, and with whose rights."""
    try:
        sandbox.check_namespaces()
    except TestbedError as error:
        finding, _, advice = str(error).rpartition("; ")
        return Record(name, "missing", finding, advice)
    if os.geteuid() == 0:
        return Record(name, "ok", "network, mount and process namespaces, as root")
    return Record(name, "ok", "network, mount and process namespaces in a user namespace, no root")


def check_netem(name: str) -> Record:
    """Whether the kernel has netem."""
    probe = probe_netem()
    if probe.available:
        return Record(name, "ok", "sch_netem works")
    return Record(
        name,
        "warning",
        f"not in this kernel ({probe.reason})",
        "a guest kernel or the relay does its work; or try `modprobe sch_netem` as root, on Ubuntu "
        "after `apt install linux-modules-extra-$(uname -r)`",
    )


def check_htb(name: str) -> Record:
    """Whether the kernel has HTB, which only stock Mininet's own links use."""
    probe = probe_qdisc("htb", "default", "1")
    if probe.available:
        return Record(name, "ok", "sch_htb works (for stock Mininet only)")
    return Record(
        name,
        "warning",
        f"not in this kernel ({probe.reason}); only stock Mininet's TCLink needs it",
        "try `modprobe sch_htb` as root",
    )


def check_relay(name: str) -> Record:
    """Whether the user-space relay carries frames between two veth pairs, and how fast."""
    try:
        delay = relay_report().delay
    except TestbedError as error:
        # With kernel netem a run can do without.
        state: State = "warning" if probe_netem().available else "missing"
        advice = "" if os.geteuid() == 0 else "run as root"
        return Record(name, state, f"does not work here ({error})", advice)
    finding = f"carries frames, adding {delay * 1e3:.2f} ms"
    if delay > _SLOW:
        return Record(name, "warning", finding, "stop what else keeps this machine busy")
    return Record(name, "ok", finding)


def check_real_time(name: str) -> Record:
    """Whether the relay gets real-time priority inside a sandbox."""
    if relay_report().realtime:
        return Record(name, "ok", "SCHED_FIFO is granted to the relay")
    return Record(
        name,
        "warning",
        "SCHED_FIFO is refused: packets may leave late when the cores are busy",
        "run as root, allow rtprio in /etc/security/limits.conf, or give a container SYS_NICE",
    )


def check_guest(name: str) -> Record:
    """Whether the guest kernel boots here and has netem, for kernels that have none."""
    if missing := guest_missing():
        return Record(
            name,
            "warning",
            f"lacks {missing}; without it, netem is there only if this kernel has it",
            f"apt install {guest_packages()}",
        )
    began = time.monotonic()
    try:
        done = sandbox.try_in_sandbox(_GUEST, _GUEST_PATIENCE)
    except subprocess.TimeoutExpired:
        return Record(name, "warning", f"does not boot within {_GUEST_PATIENCE:g} s", _REPORT)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Record(name, "warning", f"does not boot, or has no netem ({said[-1]})", _REPORT)
    return Record(name, "ok", f"boots with netem, in {time.monotonic() - began:.1f} s")


@functools.cache
def relay_report() -> Report:
    """What the probe of the relay says. Raises TestbedError with its reason when it fails."""
    try:
        done = sandbox.try_in_sandbox(
            [sys.executable, "-m", "testbed.doctor.relay_probe"], _PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise TestbedError(f"its probe did not end within {_PATIENCE:g} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise TestbedError(said[-1] if said else f"exit code {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Report)
