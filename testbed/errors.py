"""The one exception that a user sees."""


class TestbedError(Exception):
    """Something the user can act on, said in one sentence: file, key, value, what is allowed.

    The command line prints it without a traceback and exits non-zero.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest
