"""Options of the tests, and what holds of all of them."""

import pytest
from hypothesis import settings

# A machine that is busy for a moment is no failure.
settings.register_profile("testbed", deadline=None)
settings.load_profile("testbed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """See tests/methods/test_sequences.py."""
    parser.addoption(
        "--sequences", type=int, default=2500, help="sequences of each form of message to count"
    )
