"""The first program in a sandbox: python -m testbed.emulation.inside MODULE ARGUMENT…

It enters the sandbox, imports a module and runs its `main`. The import comes last, so that a signal
can interrupt it. Errors that the module does not report itself are reported here: those of the
machine in one sentence, faults of the testbed with a traceback.
"""

from __future__ import annotations

import importlib
import sys
import traceback

from testbed.emulation.sandbox import enter
from testbed.exit_codes import INTERRUPTED, UNREPORTED
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.output.streams import protect_streams
from testbed.output.terminal import complain


def inside_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs the `main` of a module once inside a sandbox."""
    return [sys.executable, "-m", __name__, module, *arguments]


def main() -> None:
    """Enter the sandbox and run the `main` of the module that the command line names."""
    del sys.argv[0]
    protect_streams()
    try:
        enter()
        importlib.import_module(sys.argv[0]).main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except REPORTABLE as error:
        complain(f"error: {sentence(error)}")
        sys.exit(UNREPORTED)
    except Exception:  # a fault of the testbed: the traceback shows where
        traceback.print_exc()
        sys.exit(UNREPORTED)


if __name__ == "__main__":
    main()
