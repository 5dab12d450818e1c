"""`testbed run`: run a scenario, or resume an interrupted run."""

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
    """Add the parser of this command."""
    run = commands.add_parser("run", help="run a scenario, or resume an interrupted run")
    run.set_defaults(command=_run)
    run.add_argument(
        "scenario", type=Path, nargs="?", metavar="SCENARIO.yaml", help="run this scenario"
    )
    run.add_argument(
        "--resume",
        type=Path,
        metavar="RESULTS",
        help="instead of a scenario: continue an interrupted run, as it was started",
    )
    run.add_argument(
        "--redo", action="store_true", help="with --resume: repeat runs that are not valid"
    )
    run.add_argument("--out", type=Path, help="create the results in this folder; default: results")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the scenario, e.g. links.radio.up.rate=2mbit",
    )
    run.add_argument("--methods", metavar="A,B", help="run only these methods")
    run.add_argument("--repeat", type=int, help="repeat every point so many times")
    run.add_argument("--seed", type=int, help="change the seed of the scenario")
    run.add_argument(
        "--backend",
        choices=("auto", "netem", "relay", "simulated"),
        help="shape the links with this backend; simulated computes the run in virtual time",
    )
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
        raise TestbedError(f"--resume continues a run as it was started; leave out {given[0]}")
    else:
        results, code = resume(args.resume, redo=args.redo)
    # Imported after the run, as the imports take half a second.
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
