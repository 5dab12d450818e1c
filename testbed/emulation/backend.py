"""Choose the backend that shapes the links: this kernel's netem, a guest kernel's, or the relay."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from testbed.emulation import guest_trial
from testbed.emulation.guest_kernel import guest_advice
from testbed.emulation.guest_wire import GuestNetemWire
from testbed.emulation.namespace import Namespace
from testbed.emulation.netem import USE_RELAY, probe_netem
from testbed.emulation.netem_wire import NetemWire
from testbed.emulation.relay_wire import RelayWire
from testbed.emulation.wire import Wire
from testbed.errors import TestbedError
from testbed.links.spec import Duplex

BACKENDS = ("auto", "netem", "relay")


class Choice(NamedTuple):
    """A backend, and why 'auto' could not take netem where it took the relay."""

    backend: str
    reason: str = ""


def choose_backend(
    requested: str,
    refusals: Sequence[str] = (),
    why_no_guest: Callable[[], str] = guest_trial.why_no_guest,
) -> Choice:
    """Resolve 'auto' to netem if netem can shape these links here, else to the relay.

    netem is this kernel's own where it has one, else that of a guest kernel if one boots here.

    refusals: the impairments of the links that netem cannot do, as netem_support lists them.
    why_no_guest: tries to boot a guest kernel; returns the reason of a failure, or "".

    Raises TestbedError for an unknown backend, and for 'netem' if neither kernel offers it or if
    `refusals` is not empty.
    """
    if requested not in BACKENDS:
        raise TestbedError(f"backend {requested!r} is unknown; there are {', '.join(BACKENDS)}")
    if requested == "relay":
        return Choice(RelayWire.backend)
    if refusals:
        reason, advice = f"netem cannot do {refusals[0]}", USE_RELAY
    else:
        probe = probe_netem()
        if probe.available:
            return Choice(NetemWire.backend)
        reason = why_no_guest()
        if not reason:
            return Choice(GuestNetemWire.backend)
        reason = f"this kernel has no netem (sch_netem: {probe.reason}), and {reason}"
        remedies = [each for each in (guest_advice(), USE_RELAY) if each]
        advice = f"{', or '.join(remedies)} or `--backend auto`"
    if requested == "netem":
        raise TestbedError(f"{reason}; {advice}")
    return Choice(RelayWire.backend, reason)


def open_wire(backend: str, name: str, inside: Namespace, duplex: Duplex, seed: int) -> Wire:
    """Start a wire between the two ports in the namespace `inside`, by a chosen backend."""
    if backend == NetemWire.backend:
        return NetemWire(name, inside, duplex)
    if backend == GuestNetemWire.backend:
        return GuestNetemWire(name, inside, duplex)
    return RelayWire(name, inside, duplex, seed)
