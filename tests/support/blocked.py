"""Python without the modules that only Linux, or only a full installation, has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

MODULES = ("fcntl", "pwd", "resource", "mininet")

_BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ImportError(f"{{name}} is blocked")

for name in [each for each in sys.modules if each.partition(".")[0] in {modules}]:
    del sys.modules[name]
sys.meta_path.insert(0, Blocked())
"""


LINUX = ("sched_getaffinity", "sched_setaffinity", "getloadavg", "pread", "killpg", "O_NONBLOCK")
"""Names of `os` that other systems lack."""


def block(modules: tuple[str, ...] = MODULES) -> None:
    """Let this process import none of these modules from now on."""
    exec(_BLOCK.format(modules=modules), {})


def forget_linux() -> None:
    """Take from `os` and `signal`, in this process, what not every system has."""
    for name in LINUX:
        delattr(os, name)
    for name in ("SIGHUP", "SIGXCPU", "SIGXFSZ"):
        delattr(signal, name)


def run_blocked(program: str, modules: tuple[str, ...] = MODULES) -> str:
    """Run a program in a Python that cannot import `modules`; return its output."""
    text = _BLOCK.format(modules=modules) + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
