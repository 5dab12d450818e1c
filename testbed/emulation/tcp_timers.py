"""TCP's minimum retransmission time-out, made longer under time dilation.

Linux waits at least 200 ms before it retransmits, whatever the round-trip time. The rest of the
time-out follows the measured round trips, and so grows with the dilated link by itself. The minimum
is set on each route, which every kernel supports.
"""

from typing import Any

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError

_RTO_MIN = 0.2  # seconds: TCP_RTO_MIN of Linux


def rto_min() -> list[str]:
    """Return the last words of `ip route` commands: rto_min and its value; [] without dilation."""
    if clock.dilation() == 1:
        return []
    return ["rto_min", f"{_milliseconds()}ms"]


def slow_retransmissions(host: Namespace) -> None:
    """Set the dilated rto_min on all routes of a host; raise TestbedError if one lacks it then."""
    if not rto_min():
        return
    for route in _routes(host):
        host.run(["ip", "route", "change", *_words(route), *rto_min()])
    for route in _routes(host):
        require_rto_min(route, host.name)


def require_rto_min(route: dict[str, Any], where: str) -> None:
    """Raise TestbedError unless a route, as `ip -j route` shows it, has the dilated rto_min."""
    shown = {key: value for each in route.get("metrics", []) for key, value in each.items()}
    if rto_min() and shown.get("rto_min") != _milliseconds():
        raise TestbedError(
            f"{where}: the route to {route['dst']} has {shown or 'no metrics'} where rto_min "
            f"{_milliseconds()}ms was requested; TCP would not be slowed down as time is"
        )


def _milliseconds() -> int:
    return round(clock.real(_RTO_MIN) * 1000)


def _routes(host: Namespace) -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = host.json(["ip", "-j", "route"])
    return routes


def _words(route: dict[str, Any]) -> list[str]:
    """Return the words by which `ip route change` finds a route, from its `ip -j route` entry."""
    words = [route["dst"]]
    for key, word in (
        ("gateway", "via"),
        ("dev", "dev"),
        ("protocol", "proto"),
        ("scope", "scope"),
        ("prefsrc", "src"),
    ):
        if key in route:
            words += [word, route[key]]
    return words
