"""The outcomes of runs: how the last attempt of each run ended, by the journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from testbed.errors import TestbedError
from testbed.results.journal import JOURNAL, Discarded, RunEnded, RunFailed, read
from testbed.scenario.sweep import Values, point_text


def last_outcomes(
    folder: Path, planned: Sequence[tuple[Values, Sequence[str]]]
) -> list[RunEnded | RunFailed]:
    """Return the last outcome of each run, in the order of the scenario, without discarded runs.

    `planned` has each point of plan.json and the labels of its methods. Raises TestbedError for a
    run of the journal that is not among them.
    """
    positions = {
        (msgspec.json.encode(point, order="sorted"), method): (number, column)
        for number, (point, methods) in enumerate(planned)
        for column, method in enumerate(methods)
    }

    def position(run: RunEnded | RunFailed | Discarded) -> tuple[int, int, int]:
        key = msgspec.json.encode(run.point, order="sorted"), run.turn.method
        if key not in positions:
            raise TestbedError(
                f"{folder / JOURNAL}: it has a run of {run.turn.method} at "
                f"{point_text(run.point) or 'the only point'}, which plan.json does not have"
            )
        point, method = positions[key]
        return point, run.turn.repeat, method

    runs: dict[tuple[int, int, int], RunEnded | RunFailed] = {}
    for record in read(folder):
        if isinstance(record, RunEnded | RunFailed):
            runs[position(record)] = record
        elif isinstance(record, Discarded):
            runs.pop(position(record), None)
    return [runs[key] for key in sorted(runs)]
