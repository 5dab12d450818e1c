"""The parts of a LinkSpec that netem cannot do, and its differences from the relay."""

from collections.abc import Iterable, Mapping

from testbed.errors import TestbedError
from testbed.links.jitter import UNIFORM, as_jitter
from testbed.links.mahimahi_trace import DeliveryTrace
from testbed.links.queue import as_queue
from testbed.links.schedule import Moment, Schedule
from testbed.links.spec import Duplex, LinkSpec


def unsupported(spec: LinkSpec) -> list[str]:
    """Return the parts of `spec` that netem cannot do exactly, each as its key and the reason."""
    jitter = as_jitter(spec.jitter)
    reasons = {
        "rate (it knows no trace of deliveries)": isinstance(spec.rate, DeliveryTrace),
        "rate 0 (it cannot hold packets without losing any)": spec.stands_still,
        "jitter.file (its tables are cut off and rounded)": jitter.measured is not None,
        "jitter.correlation (its own distorts the law)": jitter.correlation > 0,
        "queue.discipline (its queue only drops what comes last)": as_queue(spec.queue).discipline
        != "drop_tail",
    }
    found = [reason for reason, asked in reasons.items() if asked]
    impaired = (kind.unsupported(value) for kind, value in spec.impairments())
    return found + [reason for reason in impaired if reason]


def refusals(links: Mapping[str, Duplex], schedules: Mapping[str, Schedule]) -> list[str]:
    """Return what netem cannot do of links and their schedules, each with the link's name."""
    found = []
    for name, duplex in links.items():
        moments = schedules[name].moments if name in schedules else ()
        specs = {duplex.up, duplex.down}.union(*((each.up, each.down) for each in moments))
        found += [f"links.{name}: {reason}" for spec in specs for reason in unsupported(spec)]
        if any(moment.held for moment in moments):
            found.append(f"links.{name}: handover (it cannot hold packets without losing any)")
        found += _table_kept(name, duplex, moments)
    return sorted(set(found))


def require_support(name: str, duplex: Duplex) -> None:
    """Raise TestbedError for the first part of a link that netem cannot do."""
    for reason in refusals({name: duplex}, {}):
        raise TestbedError(f"netem cannot do {reason}; use `--backend relay`")


def _table_kept(name: str, duplex: Duplex, moments: Iterable[Moment]) -> list[str]:
    """Return the changes to uniform jitter from another distribution, which tc cannot make."""
    found = []
    for direction in ("up", "down"):
        lawful = False
        for state in (duplex, *moments, duplex):  # the last is the start of the next run
            jitter = as_jitter(getattr(state, direction).jitter)
            if lawful and jitter.law == UNIFORM and jitter.spread > 0:
                found.append(f"links.{name}.{direction}: a change to uniform jitter from another")
            lawful = lawful or jitter.law != UNIFORM
    return found


def differences(spec: LinkSpec) -> list[str]:
    """Return in words how netem's version of `spec` differs from the relay's."""
    found = []
    if spec.rate is not None:
        found.append("queue: counted in packets, as if all were full frames")
    if as_jitter(spec.jitter).spread > 0:
        found.append("jitter: comes before the rate, so that queueing hides some of it")
    return found
