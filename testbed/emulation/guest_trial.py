"""Boots a guest kernel as a wire before a run relies on it.

Once for each start of the machine, user, and set of limits.

A boot takes two seconds. So a success is remembered in the cache, with all that it depends on; a
failure is not, for the next try may find a calmer machine. What fails after a success is an error
of the run: the backend stands in plan.json before anything starts, and is the same for all points
and for `--resume`.
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
    """Boot a guest and send frames through it. Raises TestbedError saying why that fails."""
    try:
        return try_wire("guest netem")
    except TestbedError as error:
        raise TestbedError(str(error).removesuffix(f"; {USE_RELAY}")) from None


def why_no_guest() -> str:
    """Return why no guest kernel can be a wire here; empty if one can."""
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
    """Digest all that decides whether a guest boots: machine, rights, limits, the guest's files.

    Empty where that cannot be found out.
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
