"""Exit codes of `testbed` and of the processes in its sandboxes."""

VALID, ERROR, NOT_VALID, INTERRUPTED = 0, 1, 3, 130

UNREPORTED = 70
"""A sandbox could not write the reason for its end to the journal; EX_SOFTWARE of sysexits.h."""

OVERDUE = 124
"""A sandbox did not end in time when requested, and was killed; the code of timeout(1)."""
