"""Advice where namespaces are refused."""

from __future__ import annotations

import os
from pathlib import Path

_SETTINGS = Path("/proc/sys")
_FORBIDDING = {
    # namespaces(7): 0 forbids them; the value is that of a machine with 8 GB.
    "user.max_user_namespaces": ("0", "31000"),
    # Debian's patch; release notes of Debian 11, 5.1, "unprivileged user namespaces".
    "kernel.unprivileged_userns_clone": ("0", "1"),
    # https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces; on by default
    # since Ubuntu 24.04. Namespaces can be made then, but are without any rights.
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Settings of the kernel, each with the value that forbids and one that allows."""


def namespace_advice(said: str) -> str:
    """Return what to do after `said`, the message of a sandbox that could not be built."""
    if "mount" in said or os.geteuid() == 0:
        # A container without a right to namespaces, or that hides parts of /proc or /sys: then the
        # kernel refuses new ones (tried with a file mounted over /proc/keys, and with a read-only
        # /sys). The manuals of docker-run and podman-run say what this option lifts.
        return "start the container with `--privileged`"
    remedies = ["run as root"]
    for name, (forbids, allows) in _FORBIDDING.items():
        setting = _SETTINGS / name.replace(".", "/")
        if setting.exists() and setting.read_text().strip() == forbids:
            remedies.append(f"as root `sysctl {name}={allows}`")
    return " or ".join(remedies)
