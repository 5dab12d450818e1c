"""The one exception that a user sees."""


class TestbedError(Exception):
    """Something the user can act on, said in one sentence: file, key, value, what is allowed.

    The command line prints it without a traceback and exits non-zero.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest


def first_line(error: Exception) -> str:
    """What a library's exception says first; some go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].partition(". ")[0].rstrip(":.") if lines else type(error).__name__
