"""The exception whose message users read."""


class TestbedError(Exception):
    """Error that the user can correct, in one sentence: file, key, value, what is allowed.

    The command line prints it without a traceback and exits non-zero.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest


def first_line(error: Exception) -> str:
    """Return the first sentence of a library's exception; some messages fill pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].partition(". ")[0].rstrip(":.") if lines else type(error).__name__
