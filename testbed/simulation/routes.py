"""The routes of a host: which of its interfaces leads to an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from testbed.errors import TestbedError
from testbed.topology.interfaces import Interface

_ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class Route:
    """A route: the interface that leads to a network, and the address that packets come from."""

    network: IPv4Network
    interface: Interface
    source: IPv4Address


class Routes:
    """The networks of a host's interfaces, its default route, and the routes of a path.

    interfaces: of the host; default: its default route, as `ip route add default` takes it.

    Raises TestbedError for a route that `ip` would refuse.
    """

    def __init__(self, interfaces: Sequence[Interface], default: str | None) -> None:
        self._interfaces = interfaces
        self._routes: dict[IPv4Network, Route] = {}
        for each in interfaces:
            self._routes.setdefault(
                each.address.network, Route(each.address.network, each, each.address.ip)
            )
        if default is not None:
            words = default.split()
            self._replace(_ANYWHERE, words if len(words) > 1 else ["dev", *words], default)

    def replace(self, route: str) -> None:
        """Replace the route to the same address by `route`, as `ip route` takes it."""
        target, *words = route.split()
        try:
            network = IPv4Network(target)
        except (AddressValueError, NetmaskValueError, ValueError):
            raise self._refused(route, f"'{target}' is not an IPv4 address") from None
        self._replace(network, words, route)

    def find(self, address: IPv4Address) -> Route | None:
        """Return the most specific route to an address; None without any."""
        matches = (route for network, route in self._routes.items() if address in network)
        return max(matches, key=lambda route: route.network.prefixlen, default=None)

    def _replace(self, network: IPv4Network, words: Sequence[str], route: str) -> None:
        given = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 or not given or not given.keys() <= {"via", "dev", "src"}:
            raise self._refused(route, "it must have the form TARGET via ADDRESS dev NAME src IP")
        gateway = given.get("via")
        fitting = [
            each
            for each in self._interfaces
            if given.get("dev", each.name) == each.name
            and (gateway is None or IPv4Address(gateway) in each.address.network)
        ]
        if not fitting:
            raise self._refused(route, "no interface of the host leads there")
        interface = fitting[0]
        source = IPv4Address(given["src"]) if "src" in given else interface.address.ip
        self._routes[network] = Route(network, interface, source)

    def _refused(self, route: str, why: str) -> TestbedError:
        return TestbedError(f"the route '{route}' of {self._interfaces[0].host}: {why}")
