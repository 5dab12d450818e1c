"""The range in which simulated runs were compared with emulated ones, and how they agreed.

scripts/bench/twin.py writes validity.json from what it measured. A quantity of which a comparison
has no range did not occur in it, and a generation outside all comparisons is *extrapolated*: it may
be right, and nothing here says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import msgspec

from testbed.files.stored_json import read
from testbed.links.impairments.base import impairments
from testbed.links.jitter import as_jitter
from testbed.links.schedule import Schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.links.units import format_fraction, format_rate, format_time
from testbed.results.directory import Results
from testbed.scenario.scenario import Scenario
from testbed.scenario.simulated import SIMULATED

PATH = Path(__file__).with_name("validity.json")
_UNKNOWN = "the range in which it was validated against emulation is not known"
_PRIMARY = ("rate", "round_trip", "loss", "devices", "draft_length")
"""The quantities that every simulated generation has."""
_NAMES = {"round_trip": "RTT", "draft_length": "γ"}
_FORMATS = {
    "rate": format_rate,
    "round_trip": format_time,
    "jitter": format_time,
    **dict.fromkeys(("changes", "devices", "draft_length"), "{:g}".format),
}
"""The functions that write values; all others are shares."""


Ranges: TypeAlias = dict[str, tuple[float, float | None]]


class Comparison(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Simulated generations beside emulated ones: where, and how they agreed in one quantity."""

    what: str
    ranges: Ranges
    """By quantity, the smallest and the largest value compared; None is no limit.

    Rates are in bit/s, times in seconds, losses and other impairments in shares."""
    median: float
    """Difference as a share of what emulation found, in the median of all cells."""
    worst: float


class Validity(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """validity.json: all comparisons."""

    comparisons: list[Comparison]


Span = tuple[float, float]
"""The smallest and the largest value of a quantity in a generation."""


@cache
def validity() -> Validity:
    """Return what is known of the simulation of this version."""
    return read(PATH, Validity)


def statement(known: Validity) -> str:
    """Return the range in which simulation was validated, and its errors there, in a sentence."""
    found = [
        f"{each.what} within {each.median:.1%} (median), {each.worst:.1%} (worst) at "
        + ", ".join(_range(name, *ends) for name, ends in each.ranges.items())
        for each in known.comparisons
    ]
    if not found:
        return "validated against emulation for: none yet"
    return f"validated against emulation for {'; '.join(found)}"


def simulated_note(results: Results) -> str:
    """Return what tables and figures of simulated results say of them; empty for emulated ones.

    It is what was known when they were begun.
    """
    if results.backend() != SIMULATED:
        return ""
    return f"{SIMULATED}; {results.validated() or _UNKNOWN}"


def extrapolated(spans: Mapping[str, Span], known: Validity) -> list[str]:
    """Return the names of quantities outside the validated range, in their order.

    Of several comparisons, the one with the fewest such quantities counts.
    """
    every = [each.ranges for each in known.comparisons] or [{}]
    outside = ([name for name in spans if not _inside(name, spans[name], each)] for each in every)
    return [_NAMES.get(name, name) for name in min(outside, key=len)]


def spans_of(
    scenario: Scenario, links: Iterable[str], draft_lengths: Sequence[int]
) -> dict[str, Span]:
    """Return the spans of all quantities of a generation.

    `links` are those between device and verifier, `draft_lengths` the number of its rounds with
    0, 1, 2, … drafts.
    """
    states = [_states(scenario.links[name], scenario.schedules[name]) for name in links]
    specs = [spec for each in states for duplex in each for spec in (duplex.up, duplex.down)]
    drafted = [length for length, times in enumerate(draft_lengths) if length and times]
    delays = [[duplex.up.delay + duplex.down.delay for duplex in each] for each in states]
    return {
        "rate": _span(math.inf if spec.mean_rate is None else spec.mean_rate for spec in specs),
        "round_trip": (sum(map(min, delays)), sum(map(max, delays))),
        **{
            kind.key: _span(_share(getattr(spec, kind.key)) for spec in specs)
            for kind in impairments()
        },
        "jitter": _span(_jitter(spec) for spec in specs),
        "changes": _span([sum(len(each) - 1 for each in states)]),
        "devices": _span([scenario.spec.devices]),
        **({"draft_length": _span(drafted)} if drafted else {}),
    }


def _states(duplex: Duplex, schedule: Schedule) -> list[Duplex]:
    return [duplex, *(Duplex(up=each.up, down=each.down) for each in schedule.moments)]


def _span(values: Iterable[float]) -> Span:
    every = list(values) or [0.0]
    return min(every), max(every)


def _jitter(spec: LinkSpec) -> float:
    jitter = as_jitter(spec.jitter)
    return jitter.spread if jitter.measured is None else math.inf


def _share(value: object) -> float:
    """Return the share of packets that an impairment meets, each by itself.

    Losses in bursts or from a trace were not compared.
    """
    return float(value) if isinstance(value, int | float) else math.inf


def _inside(name: str, span: Span, ranges: Ranges) -> bool:
    if name not in ranges:
        return name not in _PRIMARY and span == (0.0, 0.0)
    low, high = ranges[name]
    return low <= span[0] and (high is None or span[1] <= high)


def _range(name: str, low: float, high: float | None) -> str:
    write = _FORMATS.get(name, format_fraction)
    end = "unlimited" if high is None else write(high)
    span = write(low) if low == high else f"{write(low)} to {end}"
    return f"{_NAMES.get(name, name)} {span}"
