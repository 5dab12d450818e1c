"""`testbed run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.commands.base import Commands
from testbed.errors import TestbedError
from testbed.output.terminal import say

if TYPE_CHECKING:
    from testbed.results.directory import Results

_OPTIONS = ("out", "set", "methods", "repeat", "seed", "backend", "jobs")


def add(commands: Commands) -> None:
    """Add its parser."""
    run = commands.add_parser("run", help="run a scenario")
    run.set_defaults(command=_run)
    run.add_argument("scenario", type=Path, nargs="?", metavar="SCENARIO.yaml")
    run.add_argument(
        "--resume",
        type=Path,
        metavar="RESULTS",
        help="instead of a scenario: go on with a run that was interrupted, as it was begun",
    )
    run.add_argument(
        "--redo", action="store_true", help="with --resume: do runs that are not valid once more"
    )
    run.add_argument("--out", type=Path, help="default: results")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the scenario, e.g. links.radio.up.rate=2mbit",
    )
    run.add_argument("--methods", metavar="A,B", help="run only these")
    run.add_argument("--repeat", type=int, help="repetitions of everything")
    run.add_argument("--seed", type=int)
    run.add_argument("--backend", choices=("auto", "netem", "relay"))
    run.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="run so many points of a sweep, or repetitions, side by side; default: 1",
    )


def _run(args: argparse.Namespace) -> int:
    from testbed.experiment.launcher import resume

    given = [key for key in ("scenario", *_OPTIONS) if getattr(args, key) not in (None, [])]
    if args.resume is None and args.redo:
        raise TestbedError("testbed run: --redo goes with --resume RESULTS")
    if args.resume is None:
        results, code = _launch(args)
    elif given:
        raise TestbedError(f"--resume goes on with a run as it was begun; leave out {given[0]}")
    else:
        results, code = resume(args.resume, redo=args.redo)
    # Behind the run: what they need themselves takes half a second to import.
    from plots import FIRST, draw_all, nothing_to_draw
    from testbed.report.terminal import print_results

    print_results(results)
    drawn = [path for path in draw_all(results, FIRST) if path.suffix == ".png"]
    for path in drawn:
        say(str(path))
    more = f"more figures: testbed plot {results.path}" if drawn else nothing_to_draw(results)
    say(f"{more}; all on one page: testbed report {results.path}")
    return code


def _launch(args: argparse.Namespace) -> tuple[Results, int]:
    from testbed.experiment.launcher import launch
    from testbed.scenario.load import load_scenario

    if args.scenario is None:
        raise TestbedError("testbed run: give a SCENARIO.yaml, or --resume RESULTS")
    changes = list(args.set)
    for key in ("repeat", "seed", "backend"):
        if getattr(args, key) is not None:
            changes.append(f"{key}={getattr(args, key)}")
    methods = args.methods.split(",") if args.methods else None
    scenario = load_scenario(args.scenario, changes, methods)
    return launch(scenario, args.out or Path("results"), 1 if args.jobs is None else args.jobs)
