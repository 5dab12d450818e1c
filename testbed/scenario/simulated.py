"""Requirements on scenarios whose runs are simulated: in virtual time, nothing is measured."""

from __future__ import annotations

from typing import Final

from testbed.errors import TestbedError
from testbed.scenario.compute import used_models
from testbed.scenario.scenario import Scenario
from testbed.simulation.tcp.settings import CONGESTION_CONTROLS

SIMULATED: Final = "simulated"
"""The backend that computes runs in virtual time, without a network."""
NO_CAPTURES = "a simulated network has none"
"""The reason why a scenario with `capture` has no captures."""


def require_simulable(scenario: Scenario) -> None:
    """Raise TestbedError, naming the key, if runs at some point cannot be simulated.

    Whatever links do can be. That nothing is captured is a warning of the plan.
    """
    for point in scenario.every_point():
        _require_paces(point.scenario)
        _require_congestion_control(point.scenario)
        _require_no_dilation(point.scenario)


def _require_paces(scenario: Scenario) -> None:
    for role in used_models(scenario.methods):
        if role not in scenario.paces:
            raise TestbedError(
                f"{scenario.source}: compute: the {role} model has no pace, and backend "
                f"{SIMULATED} does not measure its passes; give it one, compute.{role}"
            )


def _require_congestion_control(scenario: Scenario) -> None:
    name = scenario.spec.tcp.congestion_control
    if name not in CONGESTION_CONTROLS:
        raise TestbedError(
            f"{scenario.source}: tcp.congestion_control: backend {SIMULATED} does not model "
            f"'{name}'; choose from {', '.join(CONGESTION_CONTROLS)}"
        )


def _require_no_dilation(scenario: Scenario) -> None:
    factor = scenario.spec.time_dilation
    if factor != 1:
        raise TestbedError(
            f"{scenario.source}: time_dilation: it is {factor:g}, and backend {SIMULATED} has no "
            "real time that could be slowed down; leave it at 1"
        )
