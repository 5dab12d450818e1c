"""Devices in one radio cell, which share one uplink and one downlink to the base station.

    sudo mn --custom topologies/cell.py --topo cell,4 --controller none

needs no switch and no Open vSwitch. `air` does not stand for a machine: it is where the devices'
packets meet. Each device reaches it over a plain link of its own, which `testbed` does not shape.
From there all packets cross the link `radio`, whose rate the devices share. `discipline` is the
queue of that link in scenarios that do not set one.

`key` names a link, and interfaces are named, for the reasons given in edge.py. Stock Mininet
ignores `shaped` and `discipline`, too. The files share no code because `mn --custom` reads one file
alone.
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


class Cell(Topo):  # type: ignore[misc]
    """Devices and a base station, joined by the link `radio` that they share."""

    def build(self, devices: int = 2) -> None:
        """Declare the hosts and their links; device k has the network 10.0.k.0/24."""
        self.addHost("air", cls=Router, ip="192.168.0.1/24")
        self.addHost("base_station", ip="192.168.0.254/24", defaultRoute="via 192.168.0.1")
        self.addLink(
            "air",
            "base_station",
            key="radio",
            discipline="round_robin",
            intfName1="air-radio",
            intfName2="bs-radio",
        )
        for k in range(1, devices + 1):
            device, network = f"device{k}", f"10.{k // 256}.{k % 256}"
            self.addHost(device, ip=f"{network}.1/24", defaultRoute=f"via {network}.254")
            self.addLink(
                device,
                "air",
                key=f"access{k}",
                shaped=False,
                intfName1=f"{device}-air",
                intfName2=f"air-{device}",
                params2={"ip": f"{network}.254/24"},
            )


topos = {"cell": Cell}
