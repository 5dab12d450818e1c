"""Python without the modules that only Linux, or only a full installation, has."""

from __future__ import annotations

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


def run_blocked(program: str, modules: tuple[str, ...] = MODULES) -> str:
    """Run a program in a Python that cannot import `modules`; return its output."""
    text = _BLOCK.format(modules=modules) + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
