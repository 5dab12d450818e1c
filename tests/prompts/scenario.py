"""Prompts of a scenario, as its reader returns them."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.scenario.load import check_scenario
from tests.scenario.test_load import BASE


def texts(folder: Path, *prompts, seed: int = 0) -> list[str]:
    scenario = {**BASE, "prompts": list(prompts), "seed": seed}
    return check_scenario(scenario, str(folder / "s.yaml")).prompts


def refusal(folder: Path, *prompts) -> str:
    """Return the error without the scenario's name."""
    with pytest.raises(TestbedError) as caught:
        texts(folder, *prompts)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/s.yaml: ")
