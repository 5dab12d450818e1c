"""Run all checks, find what a run would use, and show both as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.table import Table
from rich.text import Text

from testbed.doctor import emulation, machine
from testbed.doctor.record import Finding
from testbed.emulation.backend import choose_backend
from testbed.emulation.sandbox import PROGRAMS
from testbed.errors import TestbedError
from testbed.host.environment import threads_per_node
from testbed.output.visible import visible
from testbed.pcap.capture_trial import why_no_captures

Check = Callable[[str], Finding]

CHECKS: dict[str, Check] = {
    **dict.fromkeys([*PROGRAMS, *emulation.OPTIONAL_PROGRAMS], emulation.check_program),
    "namespaces": emulation.check_namespaces,
    "kernel netem": emulation.check_netem,
    "kernel HTB": emulation.check_htb,
    "TCP": emulation.check_congestion_control,
    "relay": emulation.check_relay,
    "real time": emulation.check_real_time,
    "kernel guest": emulation.check_guest,
    "captures": emulation.check_captures,
    "processor": machine.check_processor,
    "cores": machine.check_cores,
    "clock": machine.check_clock,
    "memory": machine.check_memory,
    "engines": machine.check_engines,
    "models": machine.check_models,
    "disk": machine.check_disk,
}
_NEEDED = {*PROGRAMS, "namespaces", "relay"}
_TRIED_IN_NAMESPACES = {
    "kernel netem",
    "kernel HTB",
    "relay",
    "real time",
    "kernel guest",
    "captures",
}

_WHY = {"netem": "which this kernel has", "guest netem": "of a guest kernel, as this one has none"}
_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


def examine() -> list[Finding]:
    """Run every check; the last finding is what a run would use."""
    for trial in (emulation.relay_report, emulation.guest_boot, why_no_captures):
        trial.cache_clear()
    records: dict[str, Finding] = {}
    for name, check in CHECKS.items():
        if name in _TRIED_IN_NAMESPACES and records["namespaces"].state == "missing":
            records[name] = Finding(name, "warning", "not tried, as namespaces are missing")
        else:
            records[name] = run_check(name, check)
    run = run_check("a run", lambda name: what_a_run_uses(name, records.values()))
    return [*records.values(), run]


def run_check(name: str, check: Check) -> Finding:
    """Run a check; if the check itself fails, return a finding that says how."""
    try:
        return check(name)
    except TestbedError as error:
        why = str(error)
    except FileNotFoundError as error:
        why = f"there is no {error.filename}"
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return Finding(
        name, "missing" if name in _NEEDED else "warning", f"could not be checked ({why})"
    )


def what_a_run_uses(name: str, records: Iterable[Finding]) -> Finding:
    """Find the backend that `auto` selects and the threads of a node, or name what runs lack.

    Raises TestbedError when the backend cannot be chosen.
    """
    missing = [record.name for record in records if record.state == "missing"]
    if missing:
        return Finding(name, "missing", f"is not possible here; missing: {', '.join(missing)}")
    backend, reason = choose_backend("auto", why_no_guest=emulation.why_no_guest)
    why = f"as {reason}" if reason else _WHY[backend]
    threads = threads_per_node()
    return Finding(
        name,
        "ok",
        f"is possible: links by {backend}, {why}; {threads} thread{'s' * (threads > 1)} per node",
    )


def runs_are_possible(records: Iterable[Finding]) -> bool:
    """Return True if nothing that every run needs is missing."""
    return all(record.state != "missing" for record in records)


def table(records: Iterable[Finding]) -> Table:
    """Return the findings as a table for a terminal of 80 columns."""
    shown = Table("check", "state", "finding", box=None, pad_edge=False)
    shown.columns[0].no_wrap = shown.columns[1].no_wrap = True
    for record in records:
        finding = Text(visible(record.finding), overflow="fold")
        if record.advice:
            finding.append(f"\n→ {record.advice}", "italic")
        shown.add_row(record.name, Text(record.state, _COLOURS[record.state]), finding)
    return shown
