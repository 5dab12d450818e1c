"""The generations that count: one rule for every table and figure of a result.

A valid or suspect generation counts, an invalid one never does. The values of one method are of all
its own generations that count, and their number stands beside them. A comparison of two methods is
of the generations that count for both (testbed.analysis.intervals pairs them). A method without any
has an empty line, and the other methods are shown as if it had some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec

from testbed.results.directory import FailedRun, Results
from testbed.results.rows import Row
from testbed.scenario.simulated import SIMULATED
from testbed.scenario.sweep import Values

STAR = "* suspect generations are among these, see verdict.json"
"""The meaning of the star of `Sample.star`, printed below tables and figures."""
DAGGER = "† simulated outside the validated range, by {quantities}"
"""The meaning of the dagger there."""


def counting(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that count: the valid and the suspect ones."""
    return [row for row in rows if row.verdict != "invalid"]


@dataclass(frozen=True)
class Sample:
    """The generations of one method at one point of a sweep."""

    method: str
    every: list[Row]
    """All generations that have ended, invalid ones too."""
    failed: int = 0
    """Number of runs that could not end, and so have no rows."""

    @cached_property
    def rows(self) -> list[Row]:
        """The generations that count, in the order of the summary."""
        return counting(self.every)

    @property
    def suspect(self) -> bool:
        """Return True if one of the generations that count is suspect."""
        return any(row.verdict == "suspect" for row in self.rows)

    @property
    def simulated(self) -> bool:
        """Return True if the generations are simulated; results have one backend."""
        return any(row.backend == SIMULATED for row in self.every)

    @property
    def star(self) -> str:
        """Marks to print behind the method's name: * for suspect, † for extrapolated generations.

        Only those that count are looked at; `marks_explained` explains the marks.
        """
        return " *" * self.suspect + " †" * any(row.extrapolated for row in self.rows)

    @property
    def n(self) -> str:
        """The number of generations that count, out of all: "12 of 15"."""
        return f"{len(self.rows)} of {len(self.every)}"

    @property
    def why_empty(self) -> str:
        """The reason why no generation counts; empty if one does."""
        if self.rows:
            return ""
        if self.every:
            return f"no valid generation of {len(self.every)}"
        if self.failed:
            return f"no generation: {self.failed} {'run' if self.failed == 1 else 'runs'} failed"
        return "no generation"

    def complete(self) -> list[Row]:
        """Return the generations of the prompts for which those of all devices count.

        An aggregate over prompts that lack a device would be too small.
        """
        devices = len({row.device for row in self.every})
        having = Counter((row.repeat, row.prompt) for row in self.rows)
        return [row for row in self.rows if having[row.repeat, row.prompt] == devices]


def marks_explained(samples: Iterable[Sample]) -> list[str]:
    """Return a line for each mark of `Sample.star` that some of the samples have."""
    every = list(samples)
    found = [STAR] if any(sample.suspect for sample in every) else []
    rows = [row for sample in every for row in sample.rows]
    if names := dict.fromkeys(name for row in rows for name in row.extrapolated):
        found.append(DAGGER.format(quantities=", ".join(names)))
    return found


class Point(NamedTuple):
    """A point of the sweep, with a sample of every method in the results."""

    values: Values
    samples: list[Sample]


def points_of(results: Results) -> list[Point]:
    """Return each point at which a run has ended or failed, in the order of the scenario.

    Every point has the same methods; one without a generation there has an empty sample.
    """
    summary, planned = results.summary(), results.planned()
    begun: list[Row | FailedRun] = [*summary.rows, *summary.failed]
    named = [method for _, methods in planned for method in methods]
    methods = dict.fromkeys([*named, *(each.method for each in begun)])
    rows: dict[bytes, list[Row]] = {}
    for row in summary.rows:
        rows.setdefault(_key(row.point), []).append(row)
    failed = Counter((_key(run.point), run.method) for run in summary.failed)
    used = {_key(each.point) for each in begun}
    every = [*(point for point, _ in planned), *(each.point for each in begun)]
    values = {_key(point): point for point in every}
    return [
        Point(
            point,
            [
                Sample(
                    method,
                    [row for row in rows.get(key, []) if row.method == method],
                    failed[key, method],
                )
                for method in methods
            ],
        )
        for key, point in values.items()
        if key in used
    ]


def merged(samples: Sequence[Sample]) -> Sample:
    """Return one sample of all generations of a method at several points."""
    every = [row for sample in samples for row in sample.every]
    return Sample(samples[0].method, every, sum(sample.failed for sample in samples))


def n_of(samples: Sequence[Sample]) -> str:
    """Return the number of generations that count at each of several points: "12–15 of 15"."""
    counted = _span(len(each.rows) for each in samples)
    return f"{counted} of {_span(len(each.every) for each in samples)}"


def why_empty(samples: Sequence[Sample]) -> str:
    """Return the reason why some points lack a generation that counts; empty if none does."""
    empty = sum(not sample.rows for sample in samples)
    some = f"no valid generation at {empty} of {len(samples)} points" if empty else ""
    return merged(samples).why_empty or some


def _span(numbers: Iterable[int]) -> str:
    ends = sorted(set(numbers))
    return f"{ends[0]}–{ends[-1]}" if len(ends) > 1 else str(ends[0])


def _key(point: Values) -> bytes:
    return msgspec.json.encode(point, order="sorted")
