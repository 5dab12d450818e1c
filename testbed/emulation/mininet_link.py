"""Mininet links built as a wire or as a plain veth pair; Mininet's warnings turned into errors."""

import logging

from mininet.link import Intf, Link
from mininet.log import lg
from mininet.node import Node
from typing_extensions import override

from testbed.emulation.backend import open_wire
from testbed.emulation.ethernet import create_pair
from testbed.emulation.namespace import Namespace
from testbed.emulation.wire import PORT_A, PORT_B
from testbed.errors import TestbedError
from testbed.links.spec import Duplex

QUIET_NAMESPACE = {
    # No neighbour discovery and no multicast reports: only packets that a program sent.
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}


def namespace_of(node: Node) -> Namespace:
    """Return the namespaces of a Mininet node."""
    return Namespace(node.name, node.pid)


class CheckedInterface(Intf):  # type: ignore[misc]  # Mininet has no types
    """A Mininet interface whose configuration commands raise when they fail."""

    def cmd(self, *args: str) -> str:
        """Run a command inside the node, given as one or more strings of words."""
        words = [word for arg in args for word in arg.split()]
        return namespace_of(self.node).run(words)


class WireLink(Link):  # type: ignore[misc]
    """A shaped link between two hosts, through a wire in a namespace of its own."""

    def __init__(
        self,
        node1: Node,
        node2: Node,
        *,
        name: str,
        duplex: Duplex,
        backend: str,
        seed: int,
        port1: int,
        port2: int,
        intfName1: str | None = None,  # noqa: N803  # Mininet's names
        intfName2: str | None = None,  # noqa: N803
        params1: dict[str, object] | None = None,
        params2: dict[str, object] | None = None,
        **mininet_defaults: object,  # its random MAC addresses and interface class, not used
    ) -> None:
        self._wire_node = Node(f"wire-{name}")
        try:
            inside = namespace_of(self._wire_node)
            inside.set_sysctls(QUIET_NAMESPACE)
            up, down = duplex.up.mtu, duplex.down.mtu
            self.intf1 = self._connect(node1, port1, intfName1, params1, (PORT_A, up))
            self.intf2 = self._connect(node2, port2, intfName2, params2, (PORT_B, down))
            self.wire = open_wire(backend, name, inside, duplex, seed)
        except BaseException:
            self._wire_node.terminate()
            raise

    def stop(self) -> None:
        """Stop the wire and end its namespace; the kernel then removes the interfaces."""
        self.wire.stop()
        self._wire_node.terminate()

    def _connect(
        self,
        node: Node,
        number: int,
        name: str | None,
        params: dict[str, object] | None,
        port: tuple[str, int],
    ) -> CheckedInterface:
        """Join a node to a port of the wire; port: the wire's interface, and the node's MTU."""
        name = name or self.intfName(node, number)
        create_pair(namespace_of(node), name, namespace_of(self._wire_node), *port)
        return CheckedInterface(
            name, node=node, port=number, link=self, moveIntfFn=self._ignore, **(params or {})
        )


class PlainLink(Link):  # type: ignore[misc]
    """A link between two hosts that is not shaped: a veth pair, without a process.

    mtu: of the first host's interface, in bytes of IP packets.
    """

    def __init__(
        self,
        node1: Node,
        node2: Node,
        *,
        mtu: int,
        port1: int,
        port2: int,
        intfName1: str | None = None,  # noqa: N803  # Mininet's names
        intfName2: str | None = None,  # noqa: N803
        params1: dict[str, object] | None = None,
        params2: dict[str, object] | None = None,
        **mininet_defaults: object,  # its random MAC addresses and interface class, not used
    ) -> None:
        name1, name2 = (
            intfName1 or self.intfName(node1, port1),
            intfName2 or self.intfName(node2, port2),
        )
        create_pair(namespace_of(node1), name1, namespace_of(node2), name2, mtu)
        ends = ((node1, port1, name1, params1), (node2, port2, name2, params2))
        self.intf1, self.intf2 = (
            CheckedInterface(
                name, node=node, port=port, link=self, moveIntfFn=self._ignore, **(params or {})
            )
            for node, port, name, params in ends
        )

    def stop(self) -> None:
        """Do nothing: the kernel removes the interfaces with their hosts."""


class _RaisingHandler(logging.Handler):
    @override
    def emit(self, record: logging.LogRecord) -> None:
        raise TestbedError(f"Mininet reported: {record.getMessage().strip(' *')}".strip())


def make_mininet_raise() -> None:
    """Silence Mininet's progress messages and turn its warnings and errors into TestbedError."""
    lg.handlers[:] = [_RaisingHandler(logging.WARNING)]
    lg.setLevel(logging.WARNING)
