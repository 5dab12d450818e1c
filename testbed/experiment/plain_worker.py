"""A worker of simulated runs: python -m testbed.experiment.plain_worker PARENT RESULTS JOB.

It does the pieces of work in its stdin as testbed.experiment.runner says, and ends when PARENT
does, the process that started it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time

from testbed.output.program import run_program

_PAUSE = 0.5  # seconds between two looks at the process that started this one


def main() -> None:
    """Do the pieces of work in stdin for the results and the job of the command line."""
    run_program(_prepare, _work)


def _prepare() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _work() -> None:
    # The import comes last, so that a signal can interrupt it.
    importlib.import_module("testbed.experiment.runner").main()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: nobody holds the results any more.

    Where the system does not say so, the worker ends with its work.
    """
    while os.getppid() == parent:
        time.sleep(_PAUSE)
    os._exit(1)


if __name__ == "__main__":
    main()
