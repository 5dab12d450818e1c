"""What kernel netem can do of a LinkSpec, what it cannot, and where it differs from the relay."""

from collections.abc import Iterable, Mapping

from testbed.errors import TestbedError
from testbed.links.delivery import DeliveryTrace
from testbed.links.jitter import as_jitter
from testbed.links.loss_trace import LossTrace
from testbed.links.queue import as_queue
from testbed.links.spec import Duplex, LinkSpec


def unsupported(spec: LinkSpec) -> list[str]:
    """What netem cannot do exactly, each as its key and the reason; empty if it can do it all."""
    jitter = as_jitter(spec.jitter)
    reasons = {
        "rate (it knows no trace of deliveries)": isinstance(spec.rate, DeliveryTrace),
        "jitter.file (its tables are cut off and rounded)": jitter.measured is not None,
        "jitter.correlation (its own distorts the law)": jitter.correlation > 0,
        "loss.trace (it loses at random only)": isinstance(spec.loss, LossTrace),
        "queue.discipline (its queue only drops what comes last)": as_queue(spec.queue).discipline
        != "drop_tail",
        "duplicate (it does not count its copies)": spec.duplicate > 0,
        "reorder (it lets such packets past the rate, too)": spec.reorder > 0,
    }
    return [reason for reason, asked in reasons.items() if asked]


def refusals(links: Mapping[str, Iterable[LinkSpec]]) -> list[str]:
    """`unsupported` of every spec that the links will ever follow, with the link's name."""
    found = [
        f"links.{name}: {reason}"
        for name, specs in links.items()
        for spec in specs
        for reason in unsupported(spec)
    ]
    return list(dict.fromkeys(found))


def require_support(name: str, duplex: Duplex) -> None:
    """TestbedError naming the first impairment of a link that netem cannot do."""
    for reason in refusals({name: (duplex.up, duplex.down)}):
        raise TestbedError(f"netem cannot do {reason}; use `--backend relay`")


def differences(spec: LinkSpec) -> list[str]:
    """In what netem does `spec` otherwise than the relay."""
    found = []
    if spec.rate is not None:
        found.append("queue: counted in packets, as if all were full frames")
    if spec.corrupt > 0:
        found.append("corrupt: any bit of the frame, its Ethernet header included")
    if as_jitter(spec.jitter).spread > 0:
        found.append("jitter: comes before the rate, so that queueing hides some of it")
    return found
