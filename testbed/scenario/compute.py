"""The compute times of models in a scenario, and the time dilation that they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.errors import TestbedError
from testbed.links.units import format_time, parse_time
from testbed.methods.base import method_class
from testbed.models.compute.pace import Pace
from testbed.models.compute.profiles import find_compute_profile
from testbed.models.spec import Role
from testbed.protocol.channel import LONGEST_TIMEOUT
from testbed.scenario.methods import MethodEntry
from testbed.scenario.schema import Compute, Cost


def check_compute(compute: str | Compute, where: str) -> dict[Role, Pace]:
    """Return the pace of each model that has a cost.

    Raises TestbedError for a mapping without a cost and for a cost that is not possible.
    """
    paces = {role: _read_cost(cost, f"{where}.{role}") for role, cost in costs(compute).items()}
    if isinstance(compute, Compute) and not paces:
        raise TestbedError(f"{where}: it has neither draft nor target; give one, or write measured")
    return paces


def costs(compute: str | Compute) -> dict[Role, Cost]:
    """Return the cost of each model that has one, by role."""
    if not isinstance(compute, Compute):
        return {}
    roles: dict[Role, Cost | None] = {"draft": compute.draft, "target": compute.target}
    return {role: cost for role, cost in roles.items() if cost is not None}


def _read_cost(cost: Cost, where: str) -> Pace:
    written = {"per_pass": cost.per_pass, "per_token": cost.per_token}
    if cost.profile is not None:
        profile = find_compute_profile(cost.profile, f"{where}.profile")
        written = {
            key: profile.figures()[key].text if text is None else text
            for key, text in written.items()
        }
    figures = {}
    for key, text in written.items():
        if text is None:
            raise TestbedError(f"{where}.{key}: this key is missing, and there is no profile")
        try:
            figures[key] = parse_time(text)
        except ValueError as error:
            raise TestbedError(f"{where}.{key}: {error}") from None
    if not any(figures.values()):
        raise TestbedError(
            f"{where}: per_pass and per_token are both 0; a pass must take some time"
        )
    return Pace(**figures)


def used_models(methods: Sequence[MethodEntry]) -> list[Role]:
    """Return the models whose passes some of these methods need."""
    used: dict[Role, bool] = {
        "draft": any(method_class(entry.method).uses_draft for entry in methods),
        "target": any(entry.uses_verifier for entry in methods),
    }
    return [role for role, needed in used.items() if needed]


def check_dilation(
    factor: float,
    methods: Sequence[MethodEntry],
    paces: Mapping[Role, Pace],
    timeout: float,
    where: str,
) -> None:
    """Raise TestbedError if a model that is used cannot be slowed down, or the timeout is too long.

    Only a paced model can be slowed down: any other takes its own real time.
    """
    place = f"{where}: time_dilation: it is {factor:g}"
    for role in used_models(methods):
        if factor > 1 and role not in paces:
            raise TestbedError(
                f"{place}, but the {role} model takes its own time, which would count as that of "
                f"one {factor:g} times as fast; give it a pace, compute.{role}, or leave "
                "time_dilation at 1"
            )
    if factor * timeout > LONGEST_TIMEOUT:
        raise TestbedError(
            f"{place} and timeout {format_time(timeout)}; one times the other must be at most "
            f"{format_time(LONGEST_TIMEOUT)}"
        )
