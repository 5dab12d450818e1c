"""The verifier process, wherever it stands: base station or cloud."""

from __future__ import annotations

from pathlib import Path

from nodes.arguments import load_warm, parser
from testbed.control import Begin, NodeEnd, Ready
from testbed.traces.events import Tracer
from testbed.transport.server import VerifierServer
from testbed.transport.zmq_server import ZmqVerifier


def main(name: str, description: str | None) -> None:
    """Run one verifier called `name`."""
    arguments = parser(description)
    arguments.add_argument(
        "--listen", default="tcp://*:5555", help="where devices connect (default tcp://*:5555)"
    )
    args = arguments.parse_args()
    server = VerifierServer(load_warm(args.model, "target"), pace=args.pace)
    verifier = ZmqVerifier(server, args.listen, args.timeout)
    try:
        if args.control:
            follow_runner(name, server, verifier)
        else:
            print(f"{name}: {server.target.name} at {args.listen}; Ctrl-C ends it", flush=True)
            verifier.serve()
    finally:
        verifier.close()


def follow_runner(name: str, server: VerifierServer, verifier: ZmqVerifier) -> None:
    """Serve, and start a new trace whenever the runner starts a run, until it goes."""
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
