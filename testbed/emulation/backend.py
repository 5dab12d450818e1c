"""Which mechanism shapes the links."""

from collections.abc import Sequence

from testbed.emulation.guest_kernel import guest_missing, guest_packages
from testbed.emulation.guest_wire import GuestNetemWire
from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import probe_netem
from testbed.emulation.netem_wire import NetemWire
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.wire import Wire
from testbed.errors import TestbedError
from testbed.links.spec import Duplex

BACKENDS = ("auto", "netem", "relay")


def choose_backend(requested: str, refusals: Sequence[str] = ()) -> str:
    """Resolve 'auto' to netem if it can do the links, else to the relay.

    netem is that of this kernel where it has one, else that of a guest kernel if it is installed.
    refusals: what netem cannot do of the links, as netem_support tells. Raises TestbedError for
    an unknown backend, and for 'netem' where there is neither or for links that it cannot do.
    """
    if requested not in BACKENDS:
        raise TestbedError(f"backend {requested!r} is unknown; there are {', '.join(BACKENDS)}")
    if requested == "relay" or (requested == "auto" and refusals):
        return RelayWire.backend
    if refusals:
        raise TestbedError(f"netem cannot do {refusals[0]}; use `--backend relay`")
    probe = probe_netem()
    if probe.available:
        return NetemWire.backend
    missing = guest_missing()
    if not missing:
        return GuestNetemWire.backend
    if requested == "netem":
        raise TestbedError(
            f"this kernel has no netem (sch_netem: {probe.reason}), and a guest kernel needs "
            f"{missing}; `apt install {guest_packages()}`, or use `--backend relay` or "
            "`--backend auto`"
        )
    return RelayWire.backend


def open_wire(backend: str, name: str, inside: Namespace, duplex: Duplex, seed: int) -> Wire:
    """Start a wire between the two ports in `inside`, by a backend that was chosen."""
    if backend == NetemWire.backend:
        return NetemWire(name, inside, duplex)
    if backend == GuestNetemWire.backend:
        return GuestNetemWire(name, inside, duplex)
    return RelayWire(name, inside, duplex, seed)
