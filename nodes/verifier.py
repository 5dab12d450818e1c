"""The verifier process, the same at the base station and at the cloud."""

from __future__ import annotations

from pathlib import Path

from nodes.arguments import load_warm, parser
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.output.terminal import say
from testbed.protocol.control import Begin, NodeEnd, Ready
from testbed.protocol.messages import PORT
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.endpoint import is_loopback
from testbed.transport.zmq_server import ZmqVerifier


def main(name: str, description: str | None) -> None:
    """Run a verifier called `name`, as its command line says."""
    arguments = parser(description)
    default = f"tcp://127.0.0.1:{PORT}"
    arguments.add_argument(
        "--listen", default=default, help=f"listen for devices here (default {default})"
    )
    arguments.add_argument(
        "--insecure",
        action="store_true",
        help="listen beyond this machine: there are no keys yet, so anyone who reaches the port "
        "can use the model, and read and disturb others' generations",
    )
    args = arguments.parse_args()
    if not (args.control or args.insecure or is_loopback(args.listen)):
        raise TestbedError(
            f"--listen {args.listen}: anyone who reaches this port can use the model, and read and "
            f"disturb others' generations, as there are no keys yet; listen on {default}, or add "
            "--insecure in a network that you trust"
        )
    server = VerifierServer(load_warm(args.model, "target"), pace=args.pace)
    verifier = ZmqVerifier(server, args.listen, args.timeout)
    try:
        if args.control:
            follow_runner(name, server, verifier)
        else:
            say(f"{name}: {server.target.name} at {args.listen}; Ctrl-C ends it")
            verifier.serve()
    finally:
        verifier.close()


def follow_runner(name: str, server: VerifierServer, verifier: ZmqVerifier) -> None:
    """Serve until the runner closes stdin; start a new trace whenever it starts a run."""
    line = NodeEnd()
    line.send(Ready())

    def on_control() -> bool:
        command = line.receive()
        server.trace.close()
        if not isinstance(command, Begin):
            return False
        server.trace = Tracer(name, Path(command.trace))
        line.send(Ready())
        return True

    verifier.serve(line.fileno(), on_control)
