"""The links between each device and its verifier, and the route that they form."""

from __future__ import annotations

from testbed.analysis.prediction import Route
from testbed.scenario.scenario import Scenario
from testbed.topology.declarations import (
    links_between,
    load_topology,
    plain_links,
    topology_devices,
    topology_links,
)


class Routes:
    """The links of a scenario's topology, by the device that uses them."""

    def __init__(self, scenario: Scenario) -> None:
        spec = scenario.spec
        topology = load_topology(spec.topology, spec.devices)
        self._scenario = scenario
        self.links = topology_links(topology)
        """Those that a scenario shapes."""
        self.plain = plain_links(topology)
        """Those without a wire, from a device to a host that only forwards."""
        self.own_links = {
            device: [link.name for link in (*self.links, *self.plain) if link.node1 == device]
            for device in topology_devices(topology)
        }
        """The names of the links of each device."""
        self._shaped = {device: self._shaped_path(device) for device in self.own_links}
        self._routes = {device: self._route(device) for device in self.own_links}

    def shaped(self, device: str) -> list[str]:
        """Return the shaped links between a device and the verifier, the device's first."""
        return self._shaped[device]

    def route(self, device: str) -> Route | None:
        """Return the rates and delays requested up to the verifier; None where they change."""
        return self._routes[device]

    def first_shaped(self, device: str) -> list[str]:
        """Return the shaped links that a device's messages may go over first."""
        own = self.own_links[device]
        starts = {device, *(link.node2 for link in self.plain if link.name in own)}
        return [link.name for link in self.links if link.node1 in starts]

    def first_links(self) -> set[str]:
        """Return the shaped links that messages of any device may go over first."""
        return {link for device in self.own_links for link in self.first_shaped(device)}

    def _shaped_path(self, device: str) -> list[str]:
        verifier = self._scenario.spec.verifier
        names = links_between([*self.links, *self.plain], device, verifier)
        return [name for name in names if name in self._scenario.links]

    def _route(self, device: str) -> Route | None:
        scenario, names = self._scenario, self._shaped[device]
        if scenario.handovers or any(scenario.schedules[name].moments for name in names):
            return None
        return Route.along(scenario.links[name] for name in names)
