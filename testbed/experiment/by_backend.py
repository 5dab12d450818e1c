"""Workers and bench of each backend."""

from __future__ import annotations

from testbed.experiment.bench import Bench
from testbed.experiment.workers import Workers
from testbed.results.directory import Results
from testbed.results.plan import Plan
from testbed.scenario.scenario import Scenario
from testbed.scenario.simulated import SIMULATED

# Imported in the functions: simulated runs need nothing that emulation needs.


def workers_for(backend: str) -> Workers:
    """Return the workers of a backend, as a scenario or a plan names it."""
    if backend == SIMULATED:
        from testbed.experiment.plain_workers import PlainWorkers  # noqa: PLC0415

        return PlainWorkers()
    from testbed.experiment.sandboxed_workers import SandboxedWorkers  # noqa: PLC0415

    return SandboxedWorkers()


def open_bench(scenario: Scenario, plan: Plan, results: Results) -> Bench:
    """Return the bench of a point of the sweep, by the backend of its plan; not yet entered."""
    if plan.backend == SIMULATED:
        from testbed.experiment.simulated_bench import SimulatedBench  # noqa: PLC0415

        return SimulatedBench(scenario, plan, results)
    from testbed.experiment.emulated_bench import EmulatedBench  # noqa: PLC0415

    return EmulatedBench(scenario, plan, results)
