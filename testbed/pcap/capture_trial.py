"""Trial of a capture in a throw-away sandbox, before a run relies on captures.

    python -m testbed.pcap.capture_trial

runs inside the sandbox.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from pathlib import Path

from testbed.emulation.namespace import Namespace
from testbed.emulation.sandbox import enter, find_program, try_in_sandbox
from testbed.errors import TestbedError
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.realtime import PATIENCE
from testbed.pcap.tcpdump import Capture

_PATIENCE = 3 * PATIENCE  # tcpdump may take one to begin, one to write its frames, one to end
_UID_MAP = Path("/proc/self/uid_map")
_ALL_USERS = ["0", "0", "4294967295"]  # the map of the first user namespace


@functools.cache
def why_no_captures() -> str:
    """Return the reason why frames cannot be captured here, and the remedy; "" if they can."""
    remedies = ["set capture: false"]
    if find_program("tcpdump") is None:
        return f"`tcpdump` is missing; {' or '.join(['`apt install tcpdump`', *remedies])}"
    try:
        try_in_sandbox([sys.executable, "-m", __name__], "a capture", _PATIENCE)
    except TestbedError as error:
        why = str(error)
    else:
        return ""
    in_user_namespace = _UID_MAP.exists() and _UID_MAP.read_text().split() != _ALL_USERS
    if os.geteuid() != 0 or in_user_namespace:
        remedies.insert(0, "run as root outside user namespaces")
    return f"{why}; {' or '.join(remedies)}"


def _try() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder:
        Capture(Namespace("the trial", os.getpid()), "lo", Path(folder, "trial.pcap")).stop()


if __name__ == "__main__":
    try:
        _try()
    except REPORTABLE as error:
        sys.exit(sentence(error))
