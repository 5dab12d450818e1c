"""TCP's least time before it sends again, slowed down where time is dilated.

Linux waits 200 ms at least, whatever the round trip. The rest of the wait is measured, and grows
with the link by itself. It is set route by route, which every kernel can do.
"""

from typing import Any

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError

_RTO_MIN = 0.2  # seconds: TCP_RTO_MIN of Linux


def rto_min() -> list[str]:
    """What the commands of a route end in; nothing where time is not dilated."""
    if clock.dilation() == 1:
        return []
    return ["rto_min", f"{_milliseconds()}ms"]


def slow_retransmissions(host: Namespace) -> None:
    """Give all routes of a host the slowed time. Raises TestbedError if one does not take it."""
    if not rto_min():
        return
    for route in _routes(host):
        host.run(["ip", "route", "change", *_words(route), *rto_min()])
    for route in _routes(host):
        require_rto_min(route, host.name)


def require_rto_min(route: dict[str, Any], where: str) -> None:
    """Raise TestbedError unless a route, as `ip -j route` shows it, has the slowed time."""
    shown = {key: value for each in route.get("metrics", []) for key, value in each.items()}
    if rto_min() and shown.get("rto_min") != _milliseconds():
        raise TestbedError(
            f"{where}: the route to {route['dst']} has {shown or 'no metrics'} where rto_min "
            f"{_milliseconds()}ms was asked, so that TCP would not be slowed down as time is"
        )


def _milliseconds() -> int:
    return round(clock.real(_RTO_MIN) * 1000)


def _routes(host: Namespace) -> list[dict[str, Any]]:
    routes: list[dict[str, Any]] = host.json(["ip", "-j", "route"])
    return routes


def _words(route: dict[str, Any]) -> list[str]:
    """A route as `ip route change` finds it again."""
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
