"""Metrics of routes that TCP obeys: its congestion control, and a time-out under time dilation.

A connection takes its congestion control from its route, before any default. The sysctl with the
default would not do: in a network namespace it accepts only what the machine allows to everybody
(net.ipv4.tcp_allowed_congestion_control), a route all that the kernel offers.

Linux waits at least 200 ms before it retransmits, whatever the round-trip time. The rest of the
time-out follows the measured round trips, and so grows with the dilated link by itself. The minimum
is set on each route, which every kernel supports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError

_RTO_MIN = 0.2  # seconds: TCP_RTO_MIN of Linux


@dataclass(frozen=True, slots=True)
class RouteMetrics:
    """The metrics of every route of every host of a network."""

    congestion_control: str

    def words(self) -> list[str]:
        """Return the last words of `ip route` commands; rto_min is there under time dilation."""
        dilated = [] if clock.dilation() == 1 else ["rto_min", f"{_milliseconds()}ms"]
        return [*dilated, "congctl", self.congestion_control]

    def set_everywhere(self, host: Namespace) -> None:
        """Set them on all routes of a host; raise TestbedError if one lacks them then."""
        for route in _routes(host):
            host.run(["ip", "route", "change", *_words(route), *self.words()])
        for route in _routes(host):
            self.require(route, host.name)

    def require(self, route: dict[str, Any], where: str) -> None:
        """Raise TestbedError unless a route, as `ip -j route` shows it, has these metrics."""
        shown = {key: value for each in route.get("metrics", []) for key, value in each.items()}
        has = f"{where}: the route to {route['dst']} has {shown or 'no metrics'} where"
        if shown.get("congestion") != self.congestion_control:
            raise TestbedError(f"{has} congctl {self.congestion_control} was requested")
        if clock.dilation() != 1 and shown.get("rto_min") != _milliseconds():
            raise TestbedError(
                f"{has} rto_min {_milliseconds()}ms was requested; TCP would not be slowed down as "
                "time is"
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
