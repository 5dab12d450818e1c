"""A device that moves between two base stations, and keeps its address and its connections.

    sudo mn --custom topologies/handover.py --topo handover --controller none

needs no switch and no Open vSwitch. On either radio link the device has the address 10.0.0.1, that
of `radio`, and its peer, the anchor, 10.0.0.254. `paths` has the routes. In stock Mininet make a
handover by hand, with `ip route replace` before each route:

    mininet> device ip route replace 10.0.0.254 via 10.1.0.254 dev device-radio-2 src 10.0.0.1

`key` names a link, and interfaces are named, for the reasons given in edge.py; the files share no
code because `mn --custom` reads one file alone.
"""

from typing import ClassVar

from mininet.node import Node
from mininet.topo import Topo


class Router(Node):  # type: ignore[misc]  # Mininet has no types
    """A host that forwards IPv4 packets between its links."""

    def config(self, **params: object) -> dict[str, object]:
        """Configure the host as usual, then switch forwarding on."""
        result: dict[str, object] = super().config(**params)
        self.cmd("sysctl -w net.ipv4.ip_forward=1")
        accept_from_anywhere(self)
        return result


class Mobile(Node):  # type: ignore[misc]
    """A host with several links, which accepts packets for the address of one link on any other."""

    def config(self, **params: object) -> dict[str, object]:
        """Configure the host as usual, then accept packets from any link."""
        result: dict[str, object] = super().config(**params)
        accept_from_anywhere(self)
        return result


def accept_from_anywhere(node: Node) -> None:
    """Switch off the reverse-path filter: in a handover packets come back by another path."""
    for name in ("all", *node.intfNames()):
        node.cmd(f"sysctl -w net/ipv4/conf/{name}/rp_filter=0")


class Handover(Topo):  # type: ignore[misc]
    """Device between two base stations: links `radio` and `radio_2`, and `between` those two."""

    # For each radio link, the routes of hosts while the device uses it. The device starts on the
    # first one. Packets under way to base_station_2 when it returns are delivered over radio_2.
    paths: ClassVar[dict[str, dict[str, str]]] = {
        "radio": {
            "base_station": "10.0.0.1 dev bs-radio src 10.0.0.254",
            "device": "10.0.0.254 dev device-radio src 10.0.0.1",
        },
        "radio_2": {
            "base_station_2": "10.0.0.1 via 10.1.0.1 dev bs2-radio",
            "base_station": "10.0.0.1 via 10.2.0.1 dev bs-between src 10.0.0.254",
            "device": "10.0.0.254 via 10.1.0.254 dev device-radio-2 src 10.0.0.1",
        },
    }

    def build(self) -> None:
        """Declare the hosts and their links."""
        self.addHost("device", cls=Mobile, ip="10.0.0.1/24", defaultRoute="via 10.0.0.254")
        self.addHost("base_station", cls=Router, ip="10.0.0.254/24", defaultRoute="via 10.2.0.1")
        self.addHost(
            "base_station_2", cls=Router, ip="10.1.0.254/24", defaultRoute="via 10.2.0.254"
        )
        self.addLink(
            "device", "base_station", key="radio", intfName1="device-radio", intfName2="bs-radio"
        )
        self.addLink(
            "device",
            "base_station_2",
            key="radio_2",
            intfName1="device-radio-2",
            params1={"ip": "10.1.0.1/24"},
            intfName2="bs2-radio",
        )
        self.addLink(
            "base_station_2",
            "base_station",
            key="between",
            intfName1="bs2-between",
            params1={"ip": "10.2.0.1/24"},
            intfName2="bs-between",
            params2={"ip": "10.2.0.254/24"},
        )


topos = {"handover": Handover}
