"""Command-line arguments that all nodes share, and their start-up."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import msgspec

from testbed import clock
from testbed.clock import LARGEST_DILATION
from testbed.errors import TestbedError
from testbed.exit_codes import ERROR, INTERRUPTED
from testbed.host.allocator import keep_freed_memory
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.host.realtime import exact_timers
from testbed.methods.base import methods
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.models.load import load_model, with_trial
from testbed.models.spec import ModelSpec, Role
from testbed.output.streams import protect_streams
from testbed.output.terminal import complain
from testbed.protocol.channel import LONGEST_TIMEOUT
from testbed.protocol.control import NodeEnd

WARM_PROMPT, WARM_BLOCK = 32, 5
"""Tokens per pass of the warm-up: as many as in a prompt, and as in a block of drafts."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments of every node."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--model",
        required=True,
        help="load this model: name, folder, .gguf file, Hugging Face id (`testbed models`), JSON "
        'description such as {"type":"synthetic","vocabulary_size":1000,"acceptance":0.8}',
    )
    result.add_argument(
        "--pace",
        type=pace,
        metavar="JSON",
        help='pace every forward pass to so many seconds: {"per_pass":0.02,"per_token":0.001}',
    )
    result.add_argument(
        "--time-dilation",
        type=dilation,
        default=1.0,
        metavar="F",
        help="measure time by a clock that is slower by this factor (default 1)",
    )
    result.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        help="wait so many seconds for an answer at most (default 60)",
    )
    result.add_argument(
        "--control", action="store_true", help="take commands from the runner on stdin"
    )
    return result


def seconds(text: str) -> float:
    """Parse a time in seconds that sockets can count in milliseconds."""
    value = float(text)
    if not 0 < value <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text} is not above 0 and at most {LONGEST_TIMEOUT:g} seconds"
        )
    return value


def dilation(text: str) -> float:
    """Parse the time dilation, and set this process's clock to it."""
    value = float(text)
    if not 1 <= value <= LARGEST_DILATION:
        raise argparse.ArgumentTypeError(f"{text} is not 1 to {LARGEST_DILATION}")
    clock.set_dilation(value)
    return value


def pace(text: str) -> Pace:
    """Parse the pace of forward passes, and set exact timers, which a paced process needs."""
    try:
        result = msgspec.json.decode(text, type=Pace)
    except msgspec.MsgspecError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    exact_timers()
    return result


def positive(text: str) -> int:
    """Parse a whole number from 1 up."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def int64(text: str) -> int:
    """Parse a whole number of 64 bits."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{text} has more than 64 bits")
    return value


def model_spec(reference: str) -> ModelSpec:
    """Return the model that --model names; raise TestbedError if it cannot be loaded here."""
    if reference.startswith("{"):
        try:
            spec: ModelSpec = msgspec.json.decode(reference, type=ModelSpec)
        except msgspec.MsgspecError as error:
            raise TestbedError(f"--model: {error}") from None
        return spec
    # The runner passes JSON, and has checked operators and memory itself.
    from testbed.models.memory import Load, require_memory  # noqa: PLC0415
    from testbed.models.store.catalog import resolve  # noqa: PLC0415

    found = with_trial(resolve(reference))
    require_memory([Load(found, processes=1)])
    return found


def load_warm(reference: str, role: Role) -> Model:
    """Load the model that --model names, warm it up, and import all methods.

    So the first generation takes no longer than the others.
    """
    methods()
    model = load_model(model_spec(reference), role)
    block = min(WARM_BLOCK, model.context_length - 2)
    model.warm_up([0] * min(WARM_PROMPT, model.context_length - 1 - block), block)
    return model


def run(main: Callable[[], None]) -> None:
    """Call `main` and exit. An error that the user can act on is printed in one line.

    Every error is also reported to the runner, if a runner has started the process.
    """
    protect_streams()
    keep_freed_memory()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--control" in sys.argv:
            NodeEnd.last_words(sentence(error))
        if isinstance(error, REPORTABLE):
            complain(f"error: {sentence(error)}")
            sys.exit(ERROR)
        raise
