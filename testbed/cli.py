"""The command line: `testbed …`."""

from __future__ import annotations

import argparse
import os
import sys

from testbed import __version__
from testbed.commands import lists, machine, profile_compute, read, run
from testbed.commands.base import ERROR, INTERRUPTED
from testbed.errors import TestbedError


def main() -> None:
    """Entry point of the console script; exits with the code of the command."""
    args = _parser().parse_args()
    try:
        code = args.command(args)
        sys.stdout.flush()
    except TestbedError as error:
        print(f"error: {error}", file=sys.stderr)
        code = ERROR
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has gone
        code = ERROR
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="testbed",
        description="Network-emulation testbed for edge-cloud speculative decoding.",
        epilog="Exit codes: 0 valid, 1 error, 2 usage, 3 ran but the verdict is not valid.",
    )
    parser.add_argument("--version", action="version", version=f"testbed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (run, read, machine, lists, profile_compute):
        group.add(commands)
    return parser
