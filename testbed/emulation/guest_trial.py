"""Boot a guest kernel as a wire on trial, before a run relies on it.

A boot takes two seconds, so a success is kept in the cache together with everything that it depends
on: the start of the machine, the user, the limits, the guest's files. A failure is not kept, since
the machine may be less busy at the next try. A boot that fails after a success is an error of the
run: the backend is written to plan.json before anything starts, and is the same for all points and
for `--resume`.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from testbed.emulation.guest_kernel import KERNEL, guest_missing
from testbed.emulation.netem import USE_RELAY
from testbed.emulation.sandbox import find_program
from testbed.emulation.wire_trial import Report, try_wire
from testbed.errors import TestbedError
from testbed.host.cache import cache_root

_RIGHTS = ("Uid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp")


def try_guest() -> Report:
    """Boot a guest and send frames through it; raise TestbedError with the reason if that fails."""
    try:
        return try_wire("guest netem")
    except TestbedError as error:
        raise TestbedError(str(error).removesuffix(f"; {USE_RELAY}")) from None


def why_no_guest() -> str:
    """Return the reason why a guest kernel cannot shape wires here; "" if it can."""
    if missing := guest_missing():
        return f"a guest kernel needs {missing}"
    remembered = cache_root() / "guest-boots"
    conditions = _conditions()
    with contextlib.suppress(OSError):
        if conditions and remembered.read_bytes() == conditions:
            return ""
    try:
        try_guest()
    except TestbedError as error:
        return str(error)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs the next run a boot
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_bytes(conditions)
    return ""


def _conditions() -> bytes:
    """Return a digest of what a boot depends on: machine, rights, limits, the guest's files.

    Empty if one of them cannot be read.
    """
    files = [Path(find_program(KERNEL) or KERNEL), *Path(__file__).parent.glob("guest_*")]
    try:
        status = Path("/proc/self/status").read_text().splitlines()
        parts = [
            Path("/proc/sys/kernel/random/boot_id").read_text(),
            str(Path("/proc/self/ns/user").readlink()),
            Path("/proc/self/limits").read_text(),
            *(line for line in status if line.partition(":")[0] in _RIGHTS),
            *(f"{file} {file.stat().st_mtime_ns}" for file in sorted(files)),
        ]
    except OSError:
        return b""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest().encode()
