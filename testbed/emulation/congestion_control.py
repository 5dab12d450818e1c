"""The congestion controls that this kernel offers; all hosts of a network share it."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from testbed.errors import TestbedError

_OFFERED = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def why_not_offered(name: str) -> str:
    """Return the reason why no host can use this congestion control, with a remedy; or "".

    The kernel loads the module of one that root asks for.
    """
    with socket.socket() as unconnected:
        try:
            unconnected.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        except OSError as error:
            # It is offered, but not to sockets of every user; a route may still have it.
            if error.errno == errno.EPERM:
                return ""
            load = "" if os.geteuid() == 0 else f", or try `modprobe tcp_{name}` as root"
            return f"this kernel offers {offered()}; choose one of these{load}"
    return ""


def require_offered(name: str, who: str, where: str = "") -> None:
    """Raise TestbedError if this kernel does not offer a congestion control.

    `who` names the hosts that are to use it; `where` is the start of the error, "my.yaml: ".
    """
    if why := why_not_offered(name):
        raise TestbedError(f"{where}tcp.congestion_control: {who} cannot use '{name}': {why}")


def offered() -> str:
    """Return the names of those that are loaded."""
    return ", ".join(_OFFERED.read_text().split())
