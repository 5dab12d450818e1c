"""A second kernel, with netem, for hosts whose own has none: user-mode Linux, as Debian builds it.

It is an ordinary process. Its root is the host's own file system, and its network interfaces are
TAP devices of the namespace in which it is started.
"""

from collections.abc import Sequence
from pathlib import Path

from testbed.emulation.sandbox import find_program
from testbed.errors import TestbedError

KERNEL = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
TUN = Path("/dev/net/tun")
PACKAGES = "user-mode-linux kmod"


def guest_missing() -> str:
    """What the guest lacks here, in words; empty if it has all it needs."""
    missing = [name for name in (KERNEL, "modprobe") if find_program(name) is None]
    missing += [str(path) for path in (MODULES, TUN) if not path.exists()]
    return ", ".join(missing)


def require_guest() -> None:
    """TestbedError saying what to install, if there is no guest kernel here."""
    if missing := guest_missing():
        raise TestbedError(
            f"the guest kernel needs {missing}; install it with `apt install {PACKAGES}`"
        )


def guest_command(init: Path, memory_mb: int, more: Sequence[str]) -> list[str]:
    """The command line that boots the kernel into the script `init`, with its devices as `more`."""
    return [
        KERNEL,
        "rootfstype=hostfs",
        "rw",
        f"init={init}",
        f"mem={memory_mb}M",
        "con=null",
        "quiet",
        *more,
    ]
