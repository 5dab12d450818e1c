"""One link of a running network, with probe paths to measure it.

Probes are sent and timed in real time. Under time dilation the link is slower than its spec by that
factor, and is judged by the limits of the slower link; its checks are reported in emulated time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from testbed import clock
from testbed.calibration.probes import HEADERS, ProbePath, ProbeTrain, send_paced
from testbed.emulation.network import Network
from testbed.errors import TestbedError
from testbed.links.dilation import slowed
from testbed.links.spec import Duplex, LinkSpec
from testbed.results.link_check import Check, Unit, judge, not_measured
from testbed.topology.declarations import LinkDeclaration

DIRECTIONS = ("up", "down")
PAYLOAD = 1400
"""Bytes of UDP payload that a large packet carries, where the link's MTU allows."""
_MOMENT = 1.0  # seconds


class LinkBench:
    """A probe path in each direction of a link, and a count of the packets out of order."""

    def __init__(self, network: Network, link: LinkDeclaration) -> None:
        self.network = network
        self.link = link
        self.wire = network.wires[link.name]
        self.requested = self.wire.duplex
        """The spec of the link when the bench was set up."""
        self.inversions = dict.fromkeys(DIRECTIONS, 0)
        first, second = network.inside(link.node1), network.inside(link.node2)
        self.paths = {
            "up": ProbePath(first, second, network.address(link.node2, link.node1)),
            "down": ProbePath(second, first, network.address(link.node1, link.node2)),
        }

    def __enter__(self) -> LinkBench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for path in self.paths.values():
            path.close()

    def spec(self, direction: str) -> LinkSpec:
        """Return the spec of one direction in real time, i.e. slowed by the time dilation."""
        spec: LinkSpec = getattr(self.requested, direction)
        return slowed(spec, clock.dilation())

    def put(self, part: Callable[[LinkSpec], LinkSpec]) -> Duplex:
        """Apply `part` of each direction's spec to the wire; return the specs now in force."""
        wanted = Duplex(up=part(self.requested.up), down=part(self.requested.down))
        self.wire.change(up=wanted.up, down=wanted.down)
        return wanted

    def send(
        self,
        count: int,
        every: float,
        payload: int,
        *,
        directions: Sequence[str] = DIRECTIONS,
        awaited: Callable[[ProbeTrain], float] | None = None,
        all_suffice: bool = False,
    ) -> dict[str, ProbeTrain]:
        """Send `count` packets in each of `directions`, side by side; return a train for each.

        every: seconds between packets. payload: bytes. awaited, all_suffice: as in `send_paced`; by
        default packets are awaited for as long as delay and jitter can hold one.

        Raises TestbedError if some of them did not reach the wire.
        """
        now, before = self.wire.duplex, self.wire.counters()
        longest = clock.real(max(now.up.longest_hold, now.down.longest_hold))
        awaited = awaited or (lambda train: train.sent[-1] + longest)
        paths = [self.paths[direction] for direction in directions]
        trains = send_paced(paths, count, every, payload, awaited, all_suffice=all_suffice)
        found = dict(zip(directions, trains, strict=True))
        after = self.wire.counters()
        for direction in directions:
            came = (
                getattr(after, direction).received_packets
                - getattr(before, direction).received_packets
            )
            if came < count:
                raise TestbedError(
                    f"link {self.link.name} {direction}: {came} of {count} probes reached the "
                    "wire; this machine cannot send them fast enough"
                )
        self.count_order(found)
        return found

    def count_order(self, trains: dict[str, ProbeTrain]) -> None:
        """Add to `inversions` the packets of some trains that came out of order."""
        for direction, train in trains.items():
            self.inversions[direction] += train.inversions

    def judge(
        self,
        direction: str,
        name: str,
        unit: Unit,
        *,
        measured: float,
        requested: float | None = None,
        low: float | None = None,
        high: float | None = None,
        note: str = "",
    ) -> Check:
        """Judge one direction by values in real time; return the check in emulated time.

        Parameters are those of testbed.results.link_check.judge.
        """
        real_one = {"s": clock.emulated(1), "bit/s": clock.real(1)}.get(unit, 1.0)
        return judge(
            self.link.name,
            direction,
            name,
            unit,
            measured=measured * real_one,
            requested=requested and requested * real_one,
            low=low and low * real_one,
            high=high and high * real_one,
            note=note,
        )

    def not_measured(self, direction: str, name: str, unit: Unit, why: str) -> Check:
        """Return the check of one direction that could not be made, with the reason `why`."""
        return not_measured(self.link.name, direction, name, unit, why)

    def payload(self, direction: str) -> int:
        """Return the payload of a large packet in this direction, in bytes."""
        return min(PAYLOAD, self.spec(direction).mtu - HEADERS + 14)


def retry_failed_checks(measure: Callable[[], list[Check]]) -> list[Check]:
    """Measure, and if a check fails, measure all a second time and take the failed checks' results.

    It is for checks that a good link fails by chance, once in some hundreds; a bad link fails both
    times. A second passes in between, as a load on the machine may last that long.
    """
    checks = measure()
    if all(check.outcome != "failed" for check in checks):
        return checks
    time.sleep(_MOMENT)
    again = {(check.direction, check.name): check for check in measure()}
    kept = []
    for check in checks:
        if check.outcome == "failed":
            check = again[check.direction, check.name]  # noqa: PLW2901
            check.note = f"measured twice; {check.note}".removesuffix("; ")
        kept.append(check)
    return kept
