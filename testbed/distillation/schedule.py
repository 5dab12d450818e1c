"""Learning rate at each step."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 6e-4
"""Highest learning rate."""
WARM_UP = 50
"""Steps in which the rate rises from 0 to RATE."""
DECAY = 0.2
"""Share of all steps in which the rate falls to 0, at the end."""


@dataclass(frozen=True)
class Schedule:
    """Constant rate up to the step `hold`, then a linear fall to zero over `fall` steps.

    The steps before `hold` do not depend on `fall`, so a run can be finished early or extended.
    """

    hold: int
    fall: int

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.hold + self.fall

    def rate(self, step: int, begun: int = 0) -> float:
        """Return the rate of step 0, 1, …, for an optimiser that began at step `begun`."""
        return RATE * min(1, (step - begun + 1) / WARM_UP, (self.steps - step) / self.fall)


def whole(steps: int) -> Schedule:
    """Return the schedule of a run of `steps` steps."""
    fall = max(1, round(steps * DECAY))
    return Schedule(steps - fall, fall)


def finishing(done: int) -> Schedule:
    """Return the schedule of a run whose rate falls after its first `done` steps."""
    return Schedule(done, max(1, round(done * DECAY / (1 - DECAY))))
