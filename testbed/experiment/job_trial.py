"""Trial of jobs: the number of sandboxes that can run side by side with links as requested.

Their networks are built at once, each on processors of its own, and measured at the same time, as
every network is before its runs (testbed.calibration.preflight). `main` does that in each of these
sandboxes; its arguments are RESULTS POINT PROCESSORS FOLDER COUNT.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from testbed import clock
from testbed.emulation.inside import inside_command
from testbed.emulation.sandbox import run_in_sandboxes
from testbed.exit_codes import INTERRUPTED
from testbed.experiment.jobs import shares
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.realtime import PATIENCE
from testbed.output.terminal import say
from testbed.results.directory import Results
from testbed.results.plan import read_plans
from testbed.scenario.load import check_scenario

_PATIENCE = 3 * PATIENCE  # for all networks to be built; a guest may take two of them to boot
_PAUSE = 0.01


def jobs_that_fit(results: Results, jobs: int) -> int:
    """Return `jobs`, or the next smaller number tried at which all links pass their checks."""
    while jobs > 1:
        reasons = _try(results, jobs)
        if not reasons:
            say(f"{jobs} jobs side by side: all links do what they are asked to")
            break
        say(f"{jobs} jobs do not fit side by side here: {reasons[0]}")
        jobs = jobs * 3 // 4
    return jobs


def _try(results: Results, jobs: int) -> list[str]:
    """Return the faults of the links of `jobs` sandboxes, at the first points of the sweep."""
    points = len(read_plans(results))
    runs = results.path / "runs"
    runs.mkdir(exist_ok=True)
    # There, because the next session removes it if this one is killed before it can.
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        codes = run_in_sandboxes(
            [
                inside_command(__name__, str(results.path.resolve()), str(number % points),
                               ",".join(map(str, processors)), str(Path(folder, str(number))),
                               str(jobs))
                for number, processors in enumerate(shares(jobs))
            ]
        )  # fmt: skip
        if INTERRUPTED in codes:
            raise KeyboardInterrupt
        written = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    reasons = [reason for each in written if each for reason in msgspec.json.decode(each)]
    silent = jobs - sum(map(bool, written))
    return reasons + [f"{silent} sandboxes ended early"] * bool(silent)


def _measure(results: Results, point: int, mine: Path, jobs: int) -> list[str]:
    """Return the faults of links of one point, while the other sandboxes measure theirs."""
    # Slow to import, and the launcher, which imports this module, needs none of it.
    from testbed.audit.base import judge  # noqa: PLC0415
    from testbed.audit.evidence import NetworkEvidence  # noqa: PLC0415
    from testbed.calibration.preflight import check_links  # noqa: PLC0415
    from testbed.experiment.deployment import network_of  # noqa: PLC0415

    whole = check_scenario(results.scenario(), str(results.path / "scenario.yaml"))
    scenario = whole.every_point()[point].scenario
    clock.set_dilation(scenario.spec.time_dilation)
    began = time.monotonic()
    with network_of(scenario, read_plans(results)[point].backend) as network:
        mine.touch()
        # Others may read larger traces, but hardly twice as large.
        patience = _PATIENCE + 2 * (time.monotonic() - began)
        deadline = time.monotonic() + patience
        while (there := len(list(mine.parent.iterdir()))) < jobs:
            if time.monotonic() > deadline:
                return [f"{there} of {jobs} networks were built within {patience:.0f} s"]
            time.sleep(_PAUSE)
        return judge(NetworkEvidence(check_links(network))).reasons


def main() -> None:
    """Measure, and write the reasons as JSON."""
    path, point, processors, mine, jobs = sys.argv[1:]
    os.sched_setaffinity(0, map(int, processors.split(",")))
    try:
        reasons = _measure(Results(Path(path)), int(point), Path(mine), int(jobs))
    except REPORTABLE as error:
        reasons = [sentence(error)]
    with suppress(FileNotFoundError):  # the results were removed; whoever began this notices
        Path(mine).write_bytes(msgspec.json.encode(reasons))
