"""Advice for machines that refuse to create namespaces."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_SETTINGS = Path("/proc/sys")
_FORBIDDING = {
    # https://docs.docker.com/engine/security/rootless, which replaces 0 by this value.
    "user.max_user_namespaces": ("0", "28633"),
    # Debian's, 0 until Debian 11 (its release notes, "Linux enables user namespaces by default").
    "kernel.unprivileged_userns_clone": ("0", "1"),
    # https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces; on by default
    # since Ubuntu 24.04. Namespaces can still be made, but give no rights.
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Kernel settings for users other than root: the value that forbids namespaces, and a remedy."""
_FORBIDDING_ALL = {
    # namespaces(7); tried: `unshare` says "No space left on device".
    f"user.max_{kind}_namespaces": ("0", "28633")
    for kind in ("net", "mnt", "pid")
}
"""The same for settings that bind root, too."""


def namespace_advice(message: str) -> str:
    """Return the remedy for a sandbox that failed with this message."""
    if remedies := _remedies(_FORBIDDING_ALL):
        return " and ".join(remedies)
    remedies = _remedies(_FORBIDDING)
    if os.geteuid() == 0 or ("mount" in message and not remedies):
        # A container without the right to make namespaces, or one that hides parts of /proc or
        # /sys: the kernel then refuses to mount new ones (tried with a file mounted over
        # /proc/keys, and with a read-only /sys). The manuals of docker-run and podman-run list what
        # this option allows.
        return "start the container with `--privileged`"
    return " or ".join(["run as root", *([" and ".join(remedies)] if remedies else [])])


def _remedies(forbidding: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the commands that change the settings which forbid namespaces on this machine."""
    found = []
    for name, (forbids, allows) in forbidding.items():
        setting = _SETTINGS / name.replace(".", "/")
        if setting.exists() and setting.read_text().strip() == forbids:
            found.append(f"as root `sysctl {name}={allows}`")
    return found
