"""A guest kernel with netem, for hosts whose own kernel has none: Debian's user-mode Linux.

It is an ordinary process. Its root is the host's file system, and its network interfaces are TAP
devices of the namespace in which it is started.
"""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.emulation.sandbox import find_program
from testbed.errors import TestbedError

KERNEL = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
TUN = Path("/dev/net/tun")
CPUINFO = Path("/proc/cpuinfo")

_MACHINE = "x86_64"  # the only machine on which the guest kernel is supported
_PACKAGES = "user-mode-linux kmod"
_COMPILER = "gcc libc6-dev"
_COMPLETION = Path(__file__).with_name("guest_xstate.c")


def guest_packages() -> str:
    """Return the Debian packages that the guest needs on this machine, as one string of words."""
    return f"{_PACKAGES} {_COMPILER}" if needs_completion() else _PACKAGES


def guest_missing() -> str:
    """Return, in words, what a guest that shapes a wire lacks on this machine; "" for nothing."""
    missing = _kernel_missing()
    if _elsewhere():
        return missing[0]
    if not os.access(TUN, os.R_OK | os.W_OK):
        missing.append(f"access to {TUN}" if TUN.exists() else str(TUN))
    return ", ".join(missing)


def guest_advice() -> str:
    """Return the remedies for what `guest_missing` names; "" if there are none."""
    if _elsewhere():
        return ""
    advice = [f"`apt install {guest_packages()}`"] if _kernel_missing() else []
    if not TUN.exists():
        # `--device`: as Docker and Podman document it.
        advice.append(f"`modprobe tun`, in a container `--device {TUN}`")
    elif not os.access(TUN, os.R_OK | os.W_OK):
        # Safe: "there's no harm" (Linux, Documentation/networking/tuntap.rst), since the use of the
        # device needs rights of its own.
        advice.append(f"run as root, or as root `chmod 0666 {TUN}`")
    return "; ".join(advice)


def require_guest() -> None:
    """Raise TestbedError, with what to install, if no guest kernel can run a command here."""
    if missing := _kernel_missing():
        advice = "" if _elsewhere() else f"; install it with `apt install {guest_packages()}`"
        raise TestbedError(f"the guest kernel needs {', '.join(missing)}{advice}")


def _elsewhere() -> bool:
    """Return True on a machine that the guest kernel is not built for."""
    return platform.machine() != _MACHINE


def _kernel_missing() -> list[str]:
    if _elsewhere():
        return [f"an {_MACHINE} processor, and this one is {platform.machine()}"]
    programs = [KERNEL, "modprobe", *(["cc"] if needs_completion() else [])]
    missing = [name for name in programs if find_program(name) is None]
    return missing if MODULES.exists() else [*missing, str(MODULES)]


def guest_command(
    init: Path, memory_mb: int, files: str, arguments: Sequence[str] = ()
) -> list[str]:
    """Return the command line that boots the kernel into the script `init`.

    files: an empty folder for the files that the kernel writes.
    arguments: further kernel arguments: devices, and KEY=VALUE words, which become environment
    variables of `init`.
    """
    return [
        *_completed(Path(files)),
        KERNEL,
        "rootfstype=hostfs",
        "rw",
        f"init={init}",
        f"mem={memory_mb}M",
        "con=null",
        "quiet",
        f"uml_dir={files}/",
        *arguments,
    ]


def needs_completion() -> bool:
    """Return True if the processor has registers (AMX) that the kernel cannot save."""
    flags = next((line for line in CPUINFO.read_text().splitlines() if "flags" in line), "")
    return "amx_tile" in flags.split()


def _completed(folder: Path) -> list[str]:
    """Compile guest_xstate.c, which saves the registers, and return the `env` words that load it.

    Returns [] where the processor does not need it. Raises TestbedError when the compiler fails.
    """
    if not needs_completion():
        return []
    library = folder / "xstate.so"
    argv = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(_COMPLETION)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TestbedError(
            f"`{' '.join(argv)}` failed, so that the guest kernel cannot run on this processor: "
            f"{done.stderr.strip()}"
        )
    return ["env", f"LD_PRELOAD={library}"]
