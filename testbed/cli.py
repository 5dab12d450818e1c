"""The command line: `testbed …`.

Slow imports are made in `main`, where Ctrl-C ends them without a traceback.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from testbed.exit_codes import ERROR, INTERRUPTED, VALID
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.output.streams import lost_output, protect_streams
from testbed.output.terminal import complain

if TYPE_CHECKING:
    import argparse


def main() -> None:
    """Run the command of the command line; exit with its code. The console script's entry point."""
    protect_streams()
    try:
        args = _parser().parse_args()
        code = args.command(args)
        if lost := lost_output():
            complain(f"error: {lost}")
            code = ERROR if code == VALID else code
    except REPORTABLE as error:
        complain(f"error: {sentence(error)}")
        code = ERROR
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415

    from testbed import __version__  # noqa: PLC0415
    from testbed.commands import lists, machine, profile_compute, results, run  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="testbed",
        description="Network-emulation testbed for edge-cloud speculative decoding.",
        epilog="Exit codes: 0 valid, 1 error, 2 usage, 3 ran but the verdict is not valid.",
    )
    parser.add_argument("--version", action="version", version=f"testbed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (run, results, machine, lists, profile_compute):
        group.add(commands)
    return parser
