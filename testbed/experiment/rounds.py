"""rounds.json: the time of each round of a run, by phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from testbed.analysis.phases import Recovery, TextTimes, round_times
from testbed.experiment.generation import Generation
from testbed.experiment.routes import Routes
from testbed.results.rows import Row


def time_rounds(
    path: Path,
    routes: Routes,
    decoded: Iterable[tuple[Row, Generation]],
    recoveries: Mapping[str, Recovery],
) -> None:
    """Write how long the rounds of all generations took, and put it into their rows.

    `recoveries` are by device, and may lack some.
    """
    timed = []
    for row, generation in decoded:
        rounds = round_times(
            generation.events,
            generation.answers,
            round(generation.result.start * 1e9),
            routes.route(row.device),
            recoveries.get(row.device),
        )
        times = TextTimes(prompt=row.prompt, device=row.device, rounds=rounds)
        row.round_s = [round(each.seconds, 6) for each in rounds]
        row.phases = times.total()
        timed.append(times)
    path.write_bytes(msgspec.json.encode(timed))
