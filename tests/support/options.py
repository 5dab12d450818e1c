"""Error sentences about options that a method does not take."""

from __future__ import annotations

import pytest

from testbed.errors import TestbedError
from testbed.methods.base import method_class, parse_options


def refusal(method: str, options: dict) -> str:
    """Return the error sentence with which these options are refused."""
    with pytest.raises(TestbedError) as caught:
        parse_options(method_class(method), options, "x")
    assert "\n" not in str(caught.value)
    return str(caught.value)
