"""The exit codes of `testbed`, and of what runs in its sandboxes."""

VALID, ERROR, NOT_VALID, INTERRUPTED = 0, 1, 3, 130

UNREPORTED = 70
"""A sandbox could not write into the journal why it ended; EX_SOFTWARE of sysexits.h."""

OVERDUE = 124
"""A sandbox was killed, because it did not end in time when it was told to; timeout(1) has it."""
