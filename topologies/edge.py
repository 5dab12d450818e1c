"""A device and the base station that verifies its drafts, joined by one radio link.

    sudo mn --custom topologies/edge.py --topo edge --controller none

needs no switch and no Open vSwitch. `key` names the link: `testbed` shapes it by that name, and
stock Mininet ignores it. Interfaces are named here because Mininet's own `base_station-eth0` is
longer than the 15 characters that Linux allows.
"""

from mininet.topo import Topo


class Edge(Topo):  # type: ignore[misc]  # Mininet has no types
    """Device and base station, joined by the link `radio`."""

    def build(self) -> None:
        """Declare the hosts and their link."""
        self.addHost("device", ip="10.0.0.1/24", defaultRoute="via 10.0.0.254")
        self.addHost("base_station", ip="10.0.0.254/24")
        self.addLink(
            "device", "base_station", key="radio", intfName1="device-radio", intfName2="bs-radio"
        )


topos = {"edge": Edge}
