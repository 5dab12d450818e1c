"""The reproductions import each other as the scripts that they are."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "scripts/reproduce"


@pytest.fixture(scope="session", autouse=True)
def scripts():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
