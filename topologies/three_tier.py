"""A device, a base station and a cloud behind it: a radio link and a backhaul.

    sudo mn --custom topologies/three_tier.py --topo three_tier --controller none

needs no switch and no Open vSwitch. `key` names a link, and interfaces are named, for the
reasons given in edge.py; the files share no code because `mn --custom` reads one file alone.
"""

from mininet.node import Node
from mininet.topo import Topo


class Router(Node):  # type: ignore[misc]  # Mininet has no types
    """A host that forwards IPv4 packets between its links."""

    def config(self, **params: object) -> dict[str, object]:
        """Configure the host as usual, then switch forwarding on."""
        result: dict[str, object] = super().config(**params)
        self.cmd("sysctl -w net.ipv4.ip_forward=1")
        return result


class ThreeTier(Topo):  # type: ignore[misc]
    """Device, base station and cloud, joined by the links `radio` and `backhaul`."""

    def build(self) -> None:
        """Declare the hosts and their links."""
        self.addHost("device", ip="10.0.0.1/24", defaultRoute="via 10.0.0.254")
        self.addHost("base_station", cls=Router, ip="10.0.0.254/24")
        self.addHost("cloud", ip="10.1.0.1/24", defaultRoute="via 10.1.0.254")
        self.addLink(
            "device", "base_station", key="radio", intfName1="device-radio", intfName2="bs-radio"
        )
        self.addLink(
            "base_station",
            "cloud",
            key="backhaul",
            intfName1="bs-backhaul",
            params1={"ip": "10.1.0.254/24"},
            intfName2="cloud-backhaul",
        )


topos = {"three_tier": ThreeTier}
