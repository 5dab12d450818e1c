"""Checks of what the emulation needs: programs, namespaces, kernel, relay."""

from __future__ import annotations

import functools
import os
import time

from testbed.doctor.record import Finding, State
from testbed.emulation import sandbox
from testbed.emulation.guest_kernel import guest_advice, guest_missing
from testbed.emulation.guest_trial import try_guest
from testbed.emulation.netem import probe_netem, probe_qdisc
from testbed.emulation.wire_trial import Report, try_wire
from testbed.errors import TestbedError
from testbed.pcap.capture_trial import why_no_captures

OPTIONAL_PROGRAMS = {"tcpdump": "tcpdump"}

_SLOW = 2e-3  # seconds: the relay adds 0.1 to 0.4 ms on a machine that is fit for it


def check_program(name: str) -> Finding:
    """Where a program is."""
    path = sandbox.find_program(name)
    if path is not None:
        return Finding(name, "ok", path)
    if name in sandbox.PROGRAMS:
        return Finding(name, "missing", "missing", f"apt install {sandbox.PROGRAMS[name]}")
    package = OPTIONAL_PROGRAMS[name]
    return Finding(name, "warning", "missing; no run needs it", f"apt install {package}")


def check_namespaces(name: str) -> Finding:
    """Whether sandboxes can be built, and with whose rights."""
    try:
        sandbox.check_namespaces()
    except TestbedError as error:
        finding, _, advice = str(error).rpartition("; ")
        return Finding(name, "missing", finding, advice)
    how = "as root" if sandbox.may_unshare() else "in a user namespace, no root"
    return Finding(name, "ok", f"network, mount and process namespaces, {how}")


def check_netem(name: str) -> Finding:
    """Whether the kernel has netem."""
    probe = probe_netem()
    if probe.available:
        return Finding(name, "ok", "sch_netem works")
    return Finding(
        name,
        "warning",
        f"not in this kernel ({probe.reason})",
        "a guest kernel or the relay does its work; or try `modprobe sch_netem` as root, on Ubuntu "
        "after `apt install linux-modules-extra-$(uname -r)`",
    )


def check_htb(name: str) -> Finding:
    """Whether the kernel has HTB, which only stock Mininet's own links use."""
    probe = probe_qdisc("htb", "default", "1")
    if probe.available:
        return Finding(name, "ok", "sch_htb works (for stock Mininet only)")
    return Finding(
        name,
        "warning",
        f"not in this kernel ({probe.reason}); only stock Mininet's TCLink needs it",
        "try `modprobe sch_htb` as root",
    )


def check_relay(name: str) -> Finding:
    """Whether the user-space relay carries frames between two veth pairs, and how fast."""
    try:
        delay = relay_report().delay
    except TestbedError as error:
        # With kernel netem a run can do without.
        state: State = "warning" if probe_netem().available else "missing"
        advice = "" if os.geteuid() == 0 else "run as root"
        return Finding(name, state, f"does not work here ({error})", advice)
    finding = f"carries frames, adding {delay * 1e3:.2f} ms"
    if delay > _SLOW:
        return Finding(name, "warning", finding, "stop what else keeps this machine busy")
    return Finding(name, "ok", finding)


def check_real_time(name: str) -> Finding:
    """Whether the relay gets real-time priority inside a sandbox."""
    if relay_report().realtime:
        return Finding(name, "ok", "SCHED_FIFO is granted to the relay")
    return Finding(
        name,
        "warning",
        "SCHED_FIFO is refused: packets may leave late when the cores are busy",
        "run as root, allow rtprio in /etc/security/limits.conf, or give a container SYS_NICE",
    )


def check_guest(name: str) -> Finding:
    """Boot a guest kernel that is a link, for kernels without netem."""
    if missing := guest_missing():
        return Finding(
            name,
            "warning",
            f"lacks {missing}; without it, netem is there only if this kernel has it",
            guest_advice(),
        )
    try:
        seconds = guest_boot()
    except TestbedError as error:
        return Finding(name, "warning", f"does not work here ({error}); the relay does without")
    return Finding(name, "ok", f"boots and carries frames through netem, in {seconds:.1f} s")


def check_captures(name: str) -> Finding:
    """Try to record frames."""
    if why := why_no_captures():
        finding, _, advice = why.rpartition("; ")
        return Finding(
            name, "warning", f"runs work, but frames are not recorded ({finding})", advice
        )
    return Finding(name, "ok", "frames can be recorded")


def why_no_guest() -> str:
    """Return what check_guest found against a guest, as testbed.emulation.guest_trial says it."""
    if missing := guest_missing():
        return f"a guest kernel needs {missing}"
    try:
        guest_boot()
    except TestbedError as error:
        return str(error)
    return ""


@functools.cache
def relay_report() -> Report:
    """Try the relay. Raises TestbedError with the reason when it fails."""
    return try_wire("relay")


@functools.cache
def guest_boot() -> float:
    """Try a guest; return the seconds it took. Raises TestbedError with the reason if it fails."""
    began = time.monotonic()
    try_guest()
    return time.monotonic() - began
