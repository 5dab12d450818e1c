"""A short real check that a link is alive and has the delay that was asked for."""

import math
import re

from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError
from testbed.links.delivery import DeliveryTrace
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.loss_trace import LossTrace
from testbed.links.spec import Duplex, LinkSpec

_FRAME = 98  # bytes of an echo request on Ethernet
_INTERVAL = 0.02  # seconds
_FEWEST, _MOST = 5, 200  # echo requests
_FALSE_ALARM = 1e-6  # chance that a live link loses every one
_EARLY = 0.2e-3  # seconds: nothing is faster than the link, but clocks are read in steps
_LATE = 5e-3  # seconds, for a busy machine
_MINIMUM = re.compile(r"^rtt min/avg/max/mdev = ([\d.]+)/", re.MULTILINE)


def ping_link(name: str, inside: Namespace, interface: str, target: str, duplex: Duplex) -> None:
    """Ping `target` through one link from one of its ends and judge the least round trip.

    A link that loses so much that silence would prove nothing is not judged. Raises TestbedError,
    naming the link, if it is silent or its delay is not the one in `duplex`.
    """
    count = probes_needed(duplex)
    if count is None:
        return
    low, high = expected_round_trip(duplex)
    try:
        output = inside.run(
            ["ping", "-n", "-q", "-c", str(count), "-i", str(_INTERVAL),
             "-W", str(math.ceil(high + 1)), "-I", interface, target]
        )  # fmt: skip
    except TestbedError as error:
        raise TestbedError(f"link {name} is silent: {target} answers no ping") from error
    minimum = _MINIMUM.search(output)
    if minimum is None:
        raise TestbedError(f"link {name} is silent: {target} answers no ping")
    measured = float(minimum[1]) / 1000
    if not low <= measured <= high:
        raise TestbedError(
            f"link {name} has a round trip of {measured * 1000:.2f} ms where "
            f"{low * 1000:.2f} to {high * 1000:.2f} ms was asked"
        )


def probes_needed(duplex: Duplex) -> int | None:
    """How many probes make silence conclusive, or None if more would be needed than is sensible."""
    if any(isinstance(spec.loss, LossTrace) for spec in (duplex.up, duplex.down)):
        return None
    up, down = _chain(duplex.up), _chain(duplex.down)
    # The chance that no probe was answered yet, by whether up and down are in their bad states;
    # at first, both. A request lost on its way up does not move the chain of down.
    silent = {(True, True): 1.0}
    for count in range(1, _MOST + 1):
        after: dict[tuple[bool, bool], float] = {}
        for (up_bad, down_bad), chance in silent.items():
            up_loss, down_loss = _loss_in(up, up_bad), _loss_in(down, down_bad)
            for up_next, moved in _moves(up, up_bad):
                stay = (up_next, down_bad)
                after[stay] = after.get(stay, 0.0) + chance * moved * up_loss
                for down_next, moved_too in _moves(down, down_bad):
                    lost = chance * moved * (1 - up_loss) * moved_too * down_loss
                    after[up_next, down_next] = after.get((up_next, down_next), 0.0) + lost
        silent = after
        if sum(silent.values()) <= _FALSE_ALARM * (1 + 1e-9):
            return max(_FEWEST, count)
    return None


def expected_round_trip(duplex: Duplex) -> tuple[float, float]:
    """The range, in seconds, in which the least round trip of some probes must lie."""
    both = (duplex.up, duplex.down)
    sending = sum(_FRAME * 8 / spec.rate for spec in both if isinstance(spec.rate, float | int))
    # Where deliveries come by a trace, the least round trip meets anything up to its longest gap.
    gaps = sum(spec.rate.longest_gap for spec in both if isinstance(spec.rate, DeliveryTrace))
    least = sum(spec.shortest_hold for spec in both)
    most = sum(spec.longest_hold for spec in both)
    return sending + least - _EARLY, sending + gaps + most + _LATE


def _chain(spec: LinkSpec) -> GilbertElliott:
    """The loss of one direction as a chain; independent loss is alike in both states."""
    if isinstance(spec.loss, GilbertElliott):
        return spec.loss
    assert isinstance(spec.loss, float | int)
    gone = 1 - (1 - spec.loss) * (1 - spec.corrupt)  # one wrong bit, and no echo is answered
    return GilbertElliott(p=0.0, r=1.0, bad_loss=gone, good_loss=gone)


def _loss_in(chain: GilbertElliott, bad: bool) -> float:
    return chain.bad_loss if bad else chain.good_loss


def _moves(chain: GilbertElliott, bad: bool) -> tuple[tuple[bool, float], tuple[bool, float]]:
    """The next states, as whether they are bad, and their chances."""
    to_bad = 1 - chain.r if bad else chain.p
    return (True, to_bad), (False, 1 - to_bad)
