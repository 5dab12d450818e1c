"""Checks of what emulation needs: programs, namespaces, kernel, relay, captures."""

from __future__ import annotations

import functools
import os
import time

from testbed.doctor.record import Finding, State
from testbed.emulation import sandbox
from testbed.emulation.congestion_control import offered, why_not_offered
from testbed.emulation.guest_kernel import guest_advice, guest_missing
from testbed.emulation.guest_trial import try_guest
from testbed.emulation.netem import probe_netem, probe_qdisc
from testbed.emulation.wire_trial import Report, try_wire
from testbed.errors import TestbedError
from testbed.pcap.capture_trial import why_no_captures
from testbed.scenario.schema import Tcp

OPTIONAL_PROGRAMS = {"tcpdump": "tcpdump"}

_SLOW = 2e-3  # seconds; the relay adds 0.1 to 0.4 ms on a machine that is fast enough


def check_program(name: str) -> Finding:
    """Find a program; it is missing if every run needs it, else a warning."""
    path = sandbox.find_program(name)
    if path is not None:
        return Finding(name, "ok", path)
    if name in sandbox.PROGRAMS:
        return Finding(name, "missing", "missing", f"apt install {sandbox.PROGRAMS[name]}")
    package = OPTIONAL_PROGRAMS[name]
    return Finding(name, "warning", "missing; no run needs it", f"apt install {package}")


def check_namespaces(name: str) -> Finding:
    """Check that sandboxes can be built, and whether as root or in a user namespace."""
    try:
        sandbox.check_namespaces()
    except TestbedError as error:
        finding, _, advice = str(error).rpartition("; ")
        return Finding(name, "missing", finding, advice)
    how = "as root" if sandbox.may_unshare() else "in a user namespace, no root"
    return Finding(name, "ok", f"network, mount and process namespaces, {how}")


def check_netem(name: str) -> Finding:
    """Check that the kernel has netem."""
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
    """Check that the kernel has HTB, which only stock Mininet's own links use."""
    probe = probe_qdisc("htb", "default", "1")
    if probe.available:
        return Finding(name, "ok", "sch_htb works (for stock Mininet only)")
    return Finding(
        name,
        "warning",
        f"not in this kernel ({probe.reason}); only stock Mininet's TCLink needs it",
        "try `modprobe sch_htb` as root",
    )


def check_congestion_control(name: str) -> Finding:
    """Check that the kernel offers the congestion control of scenarios that name none."""
    default = Tcp().congestion_control
    if why := why_not_offered(default):
        finding, _, advice = why.partition("; ")
        return Finding(
            name, "warning", f"{default}, the default of scenarios, is missing: {finding}", advice
        )
    return Finding(name, "ok", f"{default} works; this kernel offers {offered()}")


def check_relay(name: str) -> Finding:
    """Check that the user-space relay carries frames between two veth pairs, and its delay."""
    try:
        delay = relay_report().delay
    except TestbedError as error:
        # With kernel netem a run does not need the relay.
        state: State = "warning" if probe_netem().available else "missing"
        advice = "" if os.geteuid() == 0 else "run as root"
        return Finding(name, state, f"does not work here ({error})", advice)
    finding = f"carries frames, adding {delay * 1e3:.2f} ms"
    if delay > _SLOW:
        return Finding(name, "warning", finding, "stop other programs on this machine")
    return Finding(name, "ok", finding)


def check_real_time(name: str) -> Finding:
    """Check that the relay gets real-time priority inside a sandbox."""
    if relay_report().realtime:
        return Finding(name, "ok", "SCHED_FIFO is granted to the relay")
    return Finding(
        name,
        "warning",
        "SCHED_FIFO is refused: packets may leave late when the cores are busy",
        "run as root, allow rtprio in /etc/security/limits.conf, or give a container SYS_NICE",
    )


def check_guest(name: str) -> Finding:
    """Boot a guest kernel as a link, which serves kernels without netem."""
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
    """Try to capture frames."""
    if why := why_no_captures():
        finding, _, advice = why.rpartition("; ")
        return Finding(
            name, "warning", f"runs work, but frames are not recorded ({finding})", advice
        )
    return Finding(name, "ok", "frames can be recorded")


def why_no_guest() -> str:
    """Return the reason why check_guest failed, in the words of guest_trial; "" if it passed."""
    if missing := guest_missing():
        return f"a guest kernel needs {missing}"
    try:
        guest_boot()
    except TestbedError as error:
        return str(error)
    return ""


@functools.cache
def relay_report() -> Report:
    """Try the relay, once per run of the doctor; raise TestbedError with the reason if it fails."""
    return try_wire("relay")


@functools.cache
def guest_boot() -> float:
    """Try a guest kernel; return the seconds it took, or raise TestbedError with the reason."""
    began = time.monotonic()
    try_guest()
    return time.monotonic() - began
