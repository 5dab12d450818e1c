"""Standard output and error whose failures do not end the program.

A closed pipe (`| head -1`), a full disk, a closed terminal or characters outside its encoding must
not lose a run of hours.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from typing_extensions import override

from testbed.host.machine_errors import sentence


class _Unfailing(io.TextIOWrapper):
    """A text stream that drops output that cannot be written, and does not raise OSError."""

    lost: OSError | None = None
    """First error while writing; None without any."""

    @override
    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    @override
    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        with suppress(OSError):
            _open_null(self.fileno())  # what is in the buffers goes there, too


def protect_streams() -> None:
    """Make standard output and error unfailing, and open closed standard streams as /dev/null.

    Otherwise files opened later would take the descriptors of closed streams, and printed text
    would be written to these files.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _open_null(descriptor)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: TextIO | None = getattr(sys, name)
        # A stream that other code replaced, such as pytest, stays as it is.
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _protected(number, stream))


def lost_output() -> str:
    """Return why standard output could not be written.

    Return "" if it was written, or its reader closed it.
    """
    if not isinstance(sys.stdout, _Unfailing):
        return ""
    sys.stdout.flush()
    lost = sys.stdout.lost
    return "" if lost is None or lost.errno == errno.EPIPE else f"standard output: {sentence(lost)}"


def _open_null(descriptor: int) -> None:
    """Open /dev/null as `descriptor`, inherited by processes started later."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)


def _protected(descriptor: int, stream: TextIO | None) -> TextIO:
    """Return an unfailing stream on `descriptor` with the settings of `stream`."""
    return _Unfailing(
        open(descriptor, "wb", closefd=False),
        encoding=stream.encoding if stream else "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        # `write_through` is set by PYTHONUNBUFFERED.
        line_buffering=descriptor == 2
        or (stream is not None and (stream.isatty() or getattr(stream, "write_through", False))),
    )
