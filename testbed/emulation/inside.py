"""The first program in a sandbox: python -m testbed.emulation.inside MODULE ARGUMENT…

It enters the sandbox, imports a module and runs its `main`. The import comes last, so that a signal
can interrupt it. Errors that the module does not report itself are reported by
testbed.output.program.
"""

from __future__ import annotations

import importlib
import sys

from testbed.emulation.sandbox import enter
from testbed.output.program import run_program


def inside_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs the `main` of a module once inside a sandbox."""
    return [sys.executable, "-m", __name__, module, *arguments]


def main() -> None:
    """Enter the sandbox and run the `main` of the module that the command line names."""
    del sys.argv[0]
    run_program(enter, lambda: importlib.import_module(sys.argv[0]).main())


if __name__ == "__main__":
    main()
