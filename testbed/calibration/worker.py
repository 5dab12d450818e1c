"""The part of a calibration that runs inside its sandbox.

It reads FOLDER/request.json, builds the network, measures each of its links, and writes
FOLDER/calibration.json. FOLDER is the argument on the command line.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from testbed.calibration.full import calibrate_link
from testbed.calibration.link_bench import LinkBench
from testbed.calibration.result import NAME, Calibration
from testbed.emulation.network import Network
from testbed.host.environment import describe_environment
from testbed.host.realtime import realtime_priority
from testbed.links.spec import Duplex, LinkSpec
from testbed.output.terminal import say
from testbed.topology.declarations import load_topology

REQUEST = "request.json"


class Request(msgspec.Struct):
    """A request to calibrate; the links as `LinkSpec.to_mapping` writes them."""

    source: str
    topology: str
    devices: int
    backend: str
    seed: int
    links: dict[str, dict[str, Any]]
    congestion_control: str


def calibrate(folder: Path) -> None:
    """Carry out the request in a folder, and write calibration.json there."""
    request = msgspec.json.decode((folder / REQUEST).read_bytes(), type=Request)
    links = {
        name: Duplex(
            LinkSpec.parse(directions["up"], f"{name}.up"),
            LinkSpec.parse(directions["down"], f"{name}.down"),
        )
        for name, directions in request.links.items()
    }
    checks, curves = [], []
    began = time.monotonic()
    hosts = Network(
        load_topology(request.topology, request.devices),
        links,
        request.backend,
        request.seed,
        congestion_control=request.congestion_control,
    )
    with hosts as network, realtime_priority():
        for link in network.declared:
            with LinkBench(network, link) as bench:
                found, drawn = calibrate_link(bench, partial(_say, began, link.name))
            checks += found
            curves += drawn
        environment = {**describe_environment(), "network": network.state()}
    record = Calibration(
        source=request.source,
        backend=request.backend,
        links=request.links,
        checks=checks,
        curves=curves,
        environment=environment,
    )
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2))


def _say(began: float, link: str, what: str) -> None:
    say(f"[{time.monotonic() - began:5.0f} s] link {link}: {what}")


def main() -> None:
    """Carry out the request in the folder that the command line names."""
    calibrate(Path(sys.argv[1]))
