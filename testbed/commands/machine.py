"""The commands that check this machine and its links, or run a guest kernel."""

from __future__ import annotations

import argparse
from pathlib import Path

from testbed.commands.base import Commands
from testbed.exit_codes import ERROR, NOT_VALID, VALID
from testbed.output.console import Console
from testbed.output.terminal import say

_BACKENDS = ("auto", "netem", "relay")


def add(commands: Commands) -> None:
    """Add the parsers of these commands."""
    doctor = commands.add_parser("doctor", help="check what this machine can do and what it lacks")
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")

    calibrate = commands.add_parser(
        "calibrate",
        help="measure links with real packets and compare with their spec",
    )
    calibrate.set_defaults(command=_calibrate)
    which = calibrate.add_mutually_exclusive_group()
    which.add_argument(
        "scenario",
        type=Path,
        nargs="?",
        metavar="SCENARIO.yaml",
        help="measure this scenario's links",
    )
    which.add_argument(
        "--profile", metavar="NAME", help="measure this link profile; `testbed profiles` lists them"
    )
    calibrate.add_argument(
        "--backend",
        type=_of_real_links,
        choices=_BACKENDS,
        default="auto",
        help="shape the links with this backend; default: auto",
    )
    calibrate.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        help="create the results in this folder; default: results",
    )

    guest = commands.add_parser(
        "guest", help="run a command under a guest kernel with netem, on this machine's files"
    )
    guest.set_defaults(command=_guest)
    guest.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end the command then, with exit code 124"
    )
    guest.add_argument("argv", nargs="+", metavar="-- COMMAND", help="run this command")


def _of_real_links(backend: str) -> str:
    """Return the backend; say why there is nothing to calibrate with the one without links."""
    if backend == "simulated":
        raise argparse.ArgumentTypeError(
            "simulated links are computed, so that there is nothing to measure; "
            f"choose from {', '.join(_BACKENDS)}"
        )
    return backend


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
