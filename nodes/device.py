"""The device: drafts tokens, has them verified, and prints the generation.

Run by hand, it encodes the prompt with the draft model's tokenizer, and the generation ends at the
draft model's end tokens. With a verifier running elsewhere (python -m nodes.base_station --help):

    python -m nodes.device --connect tcp://192.0.2.1:5555 --model smollm2-135m-instruct-distilled \\
        --method dssd --option draft_length=4 --prompt "Speculative decoding is" --seed 1
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.arguments import int64, load_warm, parser, positive, run
from testbed import clock
from testbed.config.yaml_loader import parse_yaml
from testbed.decoding.sampling import Sampling
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.methods.base import method_class
from testbed.models.base import Model
from testbed.models.compute.pace import Pace
from testbed.output.terminal import say, write
from testbed.protocol.channel import Channel, NoChannel
from testbed.protocol.control import Begin, Decode, Failed, NodeEnd, Progress, Ready, Result
from testbed.protocol.process_driver import generate
from testbed.protocol.request import DecodeRequest
from testbed.transport.endpoint import to_connect
from testbed.transport.zmq_client import ZmqChannel


def main() -> None:
    """Run a device that the command line configures."""
    arguments = parser(__doc__)
    arguments.add_argument("--connect", help="connect to this verifier, tcp://host:port")
    arguments.add_argument(
        "--name", default="device", help="name the device; random draws depend on it and the seed"
    )
    arguments.add_argument("--peer", default="verifier", help="name the verifier in messages")
    arguments.add_argument(
        "--method", default="dssd", help="use this method; `testbed methods` lists them"
    )
    arguments.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="set a method's option"
    )
    arguments.add_argument("--prompt", help="continue this text")
    arguments.add_argument(
        "--max-new-tokens", type=positive, default=64, help="generate so many at most (default 64)"
    )
    arguments.add_argument(
        "--temperature", type=float, default=0.7, help="sample at this temperature (default 0.7)"
    )
    arguments.add_argument(
        "--top-k", type=int, default=0, help="sample from the k likeliest; 0 for all (default)"
    )
    arguments.add_argument(
        "--top-p", type=float, default=1.0, help="sample from this share of probability (default 1)"
    )
    arguments.add_argument(
        "--seed", type=int64, default=0, help="set the seed of all random draws (default 0)"
    )
    args = arguments.parse_args()

    def connect() -> Channel:
        # The identity at the verifier is unique, even if several devices have the same name.
        identity = f"{args.name}-{secrets.token_hex(4)}"
        return ZmqChannel(args.connect, identity, args.peer, args.timeout)

    if args.control:
        draft = load_warm(args.model, "draft")
        Follower(draft, args.name, args.timeout, connect, args.pace).run()
        return
    if not args.prompt:
        raise TestbedError("--prompt: give a text to continue")
    kind = method_class(args.method, "--method")
    if kind.uses_verifier and not args.connect:
        raise TestbedError(f"--connect: {args.method} needs a verifier, tcp://host:port")
    if kind.uses_verifier:
        to_connect(args.connect, f"--connect {args.connect}")  # before a model is loaded
    try:
        sampling = Sampling(args.temperature, args.top_k, args.top_p)
    except ValueError as error:
        raise TestbedError(str(error)) from None
    options = dict(option(text) for text in args.option)
    draft = load_warm(args.model, "draft")
    request = DecodeRequest(
        method=args.method,
        options=options,
        sampling=sampling,
        seed=args.seed,
        repetition=0,
        stream=f"{args.name}/0",
        max_new_tokens=args.max_new_tokens,
        end_tokens=tuple(draft.end_tokens),
    )
    channel = connect() if kind.uses_verifier else NoChannel()
    by_hand(request, args.prompt, draft, channel, timeout=args.timeout, pace=args.pace)


def by_hand(
    request: DecodeRequest,
    prompt: str,
    draft: Model,
    channel: Channel,
    *,
    timeout: float,
    pace: Pace | None,
) -> None:
    """Generate one continuation and print it as tokens are committed, then its counts."""
    write(prompt)
    printed, tokens = "", []

    def show(new: list[int]) -> None:
        # Decode all tokens together, because one character may take several of them.
        nonlocal printed
        tokens.extend(new)
        text = draft.decode(tokens).rstrip("\N{REPLACEMENT CHARACTER}")
        write(text[len(printed) :])
        printed = text

    try:
        decoded = generate(
            request,
            draft.encode(prompt),
            draft,
            channel,
            timeout=timeout,
            trace=Tracer("device"),
            progress=show,
            pace=pace,
        )
    finally:
        say("")  # so that an error message, too, starts on a new line
    counts, traffic = decoded.counts, decoded.traffic
    say(
        "",
        f"{len(decoded.tokens)} tokens in {decoded.times[-1]:.2f} s; "
        f"{counts.rounds} exchanges, {counts.draft_passes} passes of the draft model, "
        f"{counts.accepted} of {counts.drafted} drafts accepted; "
        f"{traffic.up_bytes} B up, {traffic.down_bytes} B down",
    )


class Follower:
    """Carries out the runner's commands until the runner closes stdin."""

    def __init__(
        self,
        draft: Model,
        name: str,
        timeout: float,
        connect: Callable[[], Channel],
        pace: Pace | None,
    ) -> None:
        self._draft = draft
        self._pace = pace
        self._name = name
        self._timeout = timeout
        self._connect = connect
        self._line = NodeEnd()
        self._channel: Channel = NoChannel()
        self._trace = Tracer(name)

    def run(self) -> None:
        """Carry out commands; report a failure and wait for the next command."""
        self._line.send(Ready())
        while (command := self._line.receive()) is not None:
            try:
                if isinstance(command, Begin):
                    self._begin(Path(command.trace), command.connect)
                else:
                    self._decode(command)
            except (*REPORTABLE, ValueError) as error:
                self._line.send(Failed(sentence(error)))
        self._channel.close()
        self._trace.close()

    def _begin(self, trace: Path, connect: bool) -> None:
        self._trace.close()
        self._trace = Tracer(self._name, trace)
        self._channel.close()
        self._channel = self._connect() if connect else NoChannel()
        self._line.send(Ready())

    def _decode(self, command: Decode) -> None:
        begin = clock.now()
        decoded = generate(
            command.task,
            command.prompt,
            self._draft,
            self._channel,
            timeout=self._timeout,
            trace=self._trace,
            progress=lambda tokens: self._line.send(Progress(len(tokens), clock.now() - begin)),
            pace=self._pace,
        )
        self._line.send(
            Result(
                tokens=decoded.tokens,
                text=self._draft.decode(decoded.tokens),
                times=decoded.times,
                start=decoded.start,
                counts=decoded.counts,
                traffic=decoded.traffic,
            )
        )


def option(text: str) -> tuple[str, Any]:
    """Split KEY=VALUE, and parse the value as YAML. Raises TestbedError without `=`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise TestbedError(f"--option {text}: write it as KEY=VALUE")
    return key, parse_yaml(value, f"--option {text}")


if __name__ == "__main__":
    run(main)
