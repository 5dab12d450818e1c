"""Which mechanism shapes the links."""

from collections.abc import Sequence

from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import probe_netem
from testbed.emulation.netem_wire import NetemWire
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.wire import Wire
from testbed.errors import TestbedError
from testbed.links.spec import Duplex

BACKENDS = ("auto", "netem", "relay")


def choose_backend(requested: str, refusals: Sequence[str] = ()) -> str:
    """Resolve 'auto' to kernel netem where there is one and it can do the links, else to the relay.

    refusals: what netem cannot do of the links, as netem_support tells. Raises TestbedError for
    an unknown backend, and for 'netem' on a kernel without it or for links that it cannot do.
    """
    if requested not in BACKENDS:
        raise TestbedError(f"backend {requested!r} is unknown; there are {', '.join(BACKENDS)}")
    if requested == "relay" or (requested == "auto" and refusals):
        return "relay"
    if refusals:
        raise TestbedError(f"netem cannot do {refusals[0]}; use `--backend relay`")
    probe = probe_netem()
    if requested == "netem" and not probe.available:
        raise TestbedError(
            f"this kernel has no netem (sch_netem: {probe.reason}); "
            "use `--backend relay` or `--backend auto`"
        )
    return "netem" if probe.available else "relay"


def open_wire(backend: str, name: str, inside: Namespace, duplex: Duplex, seed: int) -> Wire:
    """Start a wire between the two ports in `inside`, by a backend that was chosen."""
    if backend == "netem":
        return NetemWire(name, inside, duplex)
    return RelayWire(name, inside, duplex, seed)
