"""Plain Ethernet: veth pairs without offloads, so that each packet is one frame on the wire."""

from testbed.emulation.namespace import Namespace
from testbed.errors import TestbedError
from testbed.links.spec import MTU

# ethtool's short name -> its name in `ethtool -k`. With any of these on, a queue would see
# packets of up to 64 KiB, or checksums that have not been computed yet.
OFFLOADS = {
    "tx": "tx-checksumming",
    "sg": "scatter-gather",
    "tso": "tcp-segmentation-offload",
    "gso": "generic-segmentation-offload",
    "gro": "generic-receive-offload",
    "lro": "large-receive-offload",
}


def create_pair(
    inside1: Namespace, name1: str, inside2: Namespace, name2: str, mtu: int = MTU
) -> None:
    """Create a veth pair with one end in each namespace, up and without offloads.

    mtu: of the first end, in bytes of IP packets; the second end has MTU.

    Raises TestbedError if the kernel refuses, or leaves an offload on.
    """
    inside1.run(
        ["ip", "link", "add", "name", name1, "mtu", str(mtu), "type", "veth",
         "peer", "name", name2, "mtu", str(MTU), "netns", str(inside2.pid)]
    )  # fmt: skip
    for inside, name in ((inside1, name1), (inside2, name2)):
        offloads_off(inside, name)
        inside.run(["ip", "link", "set", "dev", name, "up"])


def offloads_off(inside: Namespace, interface: str) -> None:
    """Turn off the offloads of an interface; raise TestbedError if the kernel leaves one on."""
    inside.run(["ethtool", "-K", interface, *(word for key in OFFLOADS for word in (key, "off"))])
    on = [key for key, state in read_offloads(inside, interface).items() if state != "off"]
    if on:
        raise TestbedError(
            f"the offload {on[0]} of {interface} in {inside.name} cannot be turned off"
        )


def read_offloads(inside: Namespace, interface: str) -> dict[str, str]:
    """Return the state, 'on' or 'off', of each of OFFLOADS, by its `ethtool -k` name."""
    states: dict[str, str] = {}
    for line in inside.run(["ethtool", "-k", interface]).splitlines():
        name, _, state = line.strip().partition(": ")
        if name in OFFLOADS.values():
            states[name] = state.split()[0]  # without a trailing "[fixed]"
    return states
