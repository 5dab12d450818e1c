"""What is found out before anything starts."""

from __future__ import annotations

import copy

import pytest

from testbed.errors import TestbedError
from testbed.launch import check_options, resolve_models
from testbed.methods.base import methods
from testbed.scenario import check_scenario
from tests.test_scenario import BASE

KEEPING = sorted(
    name for name, kind in methods().items() if "top_k" in kind.Options.__struct_fields__
)


@pytest.mark.parametrize("method", KEEPING)
@pytest.mark.parametrize("allowed", [True, False])
def test_more_tokens_than_the_vocabulary_has_are_refused(method, allowed):
    entry = {"method": method, "top_k": 100 if allowed else 101}
    scenario = check_scenario({**copy.deepcopy(BASE), "methods": ["dsd", entry]}, "s.yaml")
    target, _ = resolve_models(scenario)
    if allowed:
        check_options(scenario, target)
        return
    with pytest.raises(TestbedError, match=r"^s.yaml: methods\[1\] at seed 1: top_k is 101; it m"):
        check_options(scenario, target, "seed 1")
