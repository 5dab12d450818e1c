"""The main function of a process that does a part of a run."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from testbed.exit_codes import INTERRUPTED, UNREPORTED
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.output.streams import protect_streams
from testbed.output.terminal import complain


def run_program(*steps: Callable[[], None]) -> None:
    """Take the steps; report what they do not report themselves, and exit.

    Errors of the machine are reported in one sentence, faults of the testbed with a traceback.
    """
    protect_streams()
    try:
        for step in steps:
            step()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except REPORTABLE as error:
        complain(f"error: {sentence(error)}")
        sys.exit(UNREPORTED)
    except Exception:  # a fault of the testbed: the traceback shows where
        traceback.print_exc()
        sys.exit(UNREPORTED)
