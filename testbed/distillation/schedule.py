"""How fast to learn at each step."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 6e-4
WARM_UP = 50
"""Steps from 0 to RATE."""
DECAY = 0.2
"""Share of all steps in which the rate falls to 0."""


@dataclass(frozen=True)
class Schedule:
    """Constant up to the step `hold`, then linearly down to zero over `fall` steps.

    The steps before `hold` are the same whatever comes after, so that a run can be finished early
    or made longer.
    """

    hold: int
    fall: int

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.hold + self.fall

    def rate(self, step: int, begun: int = 0) -> float:
        """Of step 0, 1, …, by an optimiser that began at step `begun`."""
        return RATE * min(1, (step - begun + 1) / WARM_UP, (self.steps - step) / self.fall)


def whole(steps: int) -> Schedule:
    """A run of so many steps."""
    fall = max(1, round(steps * DECAY))
    return Schedule(steps - fall, fall)


def finishing(done: int) -> Schedule:
    """A run that ends soon after its first `done` steps."""
    return Schedule(done, max(1, round(done * DECAY / (1 - DECAY))))
