"""The commands about this machine and its links."""

from __future__ import annotations

import argparse
from pathlib import Path

from testbed.commands.base import Commands
from testbed.exit_codes import ERROR, NOT_VALID, VALID
from testbed.output.console import Console
from testbed.output.terminal import say


def add(commands: Commands) -> None:
    """Add their parsers."""
    doctor = commands.add_parser("doctor", help="say what this machine can do, and what it lacks")
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="print the same as JSON")

    calibrate = commands.add_parser(
        "calibrate",
        help="measure whether links do what they are asked to",
    )
    calibrate.set_defaults(command=_calibrate)
    which = calibrate.add_mutually_exclusive_group()
    which.add_argument(
        "scenario", type=Path, nargs="?", metavar="SCENARIO.yaml", help="measure its links"
    )
    which.add_argument("--profile", metavar="NAME", help="measure this one, see `testbed profiles`")
    calibrate.add_argument("--backend", choices=("auto", "netem", "relay"), default="auto")
    calibrate.add_argument("--out", type=Path, default=Path("results"), help="default: results")

    guest = commands.add_parser(
        "guest", help="run a command under a kernel with netem, over the files of this one"
    )
    guest.set_defaults(command=_guest)
    guest.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end it then, with code 124"
    )
    guest.add_argument("argv", nargs="+", metavar="-- COMMAND")


def _doctor(args: argparse.Namespace) -> int:
    import msgspec

    from testbed.doctor.examine import examine, runs_are_possible, table

    records = examine()
    if args.json:
        say(*msgspec.json.format(msgspec.json.encode(records)).decode().splitlines())
    else:
        Console().print(table(records))
    return VALID if runs_are_possible(records) else ERROR


def _calibrate(args: argparse.Namespace) -> int:
    from plots import draw
    from testbed.calibration import launcher

    results, calibration = launcher.run(
        launcher.request(args.scenario, args.profile, args.backend), args.out
    )
    Console().print(*launcher.tables(calibration))
    say(*launcher.notes(calibration))
    say(str(results.path / "calibration.json"))
    for path in draw(results, "calibration"):
        say(str(path))
    say("calibration: passed" if calibration.passed else "calibration: failed")
    return VALID if calibration.passed else NOT_VALID


def _guest(args: argparse.Namespace) -> int:
    from testbed.emulation.guest_shell import run_in_guest

    return run_in_guest(args.argv, args.timeout)
