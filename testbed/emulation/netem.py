"""Kernel netem: a LinkSpec as a tc command, applied, read back and compared.

`rate` is always given, for two reasons. With a rate, a packet never leaves before its predecessor,
so jitter keeps the order; the child pfifo that tc's manual suggests no longer does that (kernel 6.1
reordered 92 of 200 packets through it, and none with a rate). And `tc qdisc change` keeps an old
rate that the new command leaves out. A link without a rate gets `UNLIMITED_RATE`.

A distribution of jitter is a table that tc loads. netem keeps the table through a change without a
new one, and tc has no table for uniform jitter. So a link cannot change in place from another
distribution to uniform jitter.

`limit` bounds all packets that netem holds, those under way as well as those in the queue. So it is
the length of the queue plus the packets under way, both in full frames. netem counts packets, so
shorter frames fill it with fewer bytes than they would a queue of bytes.
"""

import math
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from testbed.emulation.sandbox import namespace_command
from testbed.emulation.tc import Tc
from testbed.errors import TestbedError
from testbed.links.impairments.base import impairments
from testbed.links.jitter import UNIFORM, as_jitter
from testbed.links.queue import FULL_FRAME, as_queue
from testbed.links.spec import LinkSpec

UNLIMITED_RATE = 100e9  # bit/s: 0.12 µs a full frame
UNLIMITED_LIMIT = 1_000_000  # packets

USE_RELAY = "use `--backend relay`"
"""The remedy when netem does not work."""

_ADVICE = f"the kernel lacks netem (sch_netem); {USE_RELAY}"


class Probe(NamedTuple):
    """The result of a probe; reason: the error, if the feature is not available."""

    available: bool
    reason: str


def probe_netem() -> Probe:
    """Try netem in a throw-away namespace, which takes milliseconds."""
    return probe_qdisc("netem", "delay", "1ms")


def probe_qdisc(*arguments: str) -> Probe:
    """Try a queueing discipline on the loopback interface of a throw-away namespace."""
    trial = ["tc", "qdisc", "add", "dev", "lo", "root", *arguments]
    result = subprocess.run(
        [*namespace_command(), "--", *trial], capture_output=True, text=True, check=False
    )
    return Probe(result.returncode == 0, " ".join(result.stderr.split()))


def netem_arguments(spec: LinkSpec) -> list[str]:
    """Return the netem part of a tc command line for `spec`, which netem must support."""
    arguments = ["netem", "limit", str(netem_limit(spec))]
    jitter = as_jitter(spec.jitter)
    arguments += ["delay", _microseconds(spec.delay), _microseconds(jitter.spread)]
    if jitter.law != UNIFORM:
        arguments += ["distribution", jitter.law]
    for kind, value in spec.impairments():
        arguments += kind.netem_arguments(value)
    return [*arguments, "rate", f"{round(spec.mean_rate or UNLIMITED_RATE)}bit"]


def netem_limit(spec: LinkSpec) -> int:
    """Return the packets that netem may hold: queue and packets under way, in full frames."""
    if spec.mean_rate is None:
        return UNLIMITED_LIMIT
    pipe = spec.mean_rate / 8 * spec.longest_hold
    queue = as_queue(spec.queue).full_frames(spec.mean_rate)
    return math.ceil(queue) + math.ceil(pipe / FULL_FRAME)


def apply_netem(tc: Tc, specs: Mapping[str, LinkSpec], verb: str) -> None:
    """Apply `specs` to interfaces, by name, and verify them; verb: 'add', or 'change' in place.

    All commands are sent at once, so that the directions of a link change together. Raises
    TestbedError if the kernel refuses one, or reports another setting.
    """
    changes = [
        f"qdisc {verb} dev {interface} root handle 1: {' '.join(netem_arguments(spec))}"
        for interface, spec in specs.items()
    ]
    try:
        shown = tc.run(*changes, *(f"qdisc show dev {interface}" for interface in specs))
    except TestbedError as error:
        missing = "No distribution data" in str(error)
        advice = f"tc lacks the distribution's table; {USE_RELAY}" if missing else _ADVICE
        raise TestbedError(f"{error}; {advice}") from error
    for (interface, spec), qdiscs in zip(specs.items(), shown, strict=True):
        verify_netem(spec, qdiscs, interface)


def read_qdiscs(tc: Tc, interface: str) -> list[dict[str, Any]]:
    """Return the output of `tc -s -j qdisc show` for an interface."""
    (shown,) = tc.run(f"qdisc show dev {interface}")
    found: list[dict[str, Any]] = shown
    return found


def root_netem(qdiscs: Sequence[Mapping[str, Any]], where: str) -> Mapping[str, Any]:
    """Return the root netem among the qdiscs that tc shows; raise TestbedError if there is none."""
    for qdisc in qdiscs:
        if qdisc.get("root") and qdisc["kind"] == "netem":
            return qdisc
    raise TestbedError(f"{where} has no netem; {_ADVICE}")


def verify_netem(spec: LinkSpec, qdiscs: Sequence[Mapping[str, Any]], where: str) -> None:
    """Compare the settings that tc read back with `spec`; raise TestbedError at a difference.

    tc prints six digits and delays in whole ticks, and the kernel counts rates in bytes per
    second, so values may differ by one part in 10 000, 2 µs or 1 B/s. The kernel does not report
    the distribution of jitter: it is not compared, but tc has loaded its table without an error.
    """
    options = root_netem(qdiscs, where)["options"]
    delay = options.get("delay", {"delay": 0.0, "jitter": 0.0})  # left out by tc when it is 0
    comparisons = [
        ("delay", spec.delay, delay["delay"], 2e-6),
        ("jitter", as_jitter(spec.jitter).spread, delay["jitter"], 2e-6),
        (
            "rate",
            (spec.mean_rate or UNLIMITED_RATE) / 8,
            options.get("rate", {}).get("rate", 0),
            1.0,
        ),
        ("limit", netem_limit(spec), options["limit"], 0),
    ]
    for kind in impairments():
        value = getattr(spec, kind.key)
        settings = kind.netem_settings(value, options)
        if value != kind.default and not settings:
            raise TestbedError(f"netem on {where}: {kind.key} cannot be read back")
        comparisons += [(*setting, 1e-9) for setting in settings]
    for name, wanted, got, tolerance in comparisons:
        if not math.isclose(wanted, got, rel_tol=1e-4 if tolerance else 0, abs_tol=tolerance):
            raise TestbedError(f"netem on {where} has {name} {got} where {wanted} was asked")


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.3f}us"
