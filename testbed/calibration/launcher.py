"""Run `testbed calibrate`: build the request, start the sandbox, tabulate its checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from testbed.calibration.result import NAME, Calibration
from testbed.calibration.worker import REQUEST, Request
from testbed.emulation.backend import choose_backend
from testbed.emulation.congestion_control import require_offered
from testbed.emulation.inside import inside_command
from testbed.emulation.netem_support import refusals
from testbed.emulation.sandbox import check_sandbox, run_in_sandbox
from testbed.errors import TestbedError
from testbed.host.children import ending
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.profiles import find_profile
from testbed.links.spec import Duplex, LinkSpec
from testbed.output.terminal import say
from testbed.results.directory import Results
from testbed.results.link_check import format_limits, format_value
from testbed.scenario.load import load_scenario
from testbed.scenario.schema import Tcp

REFERENCE = Duplex(
    up=LinkSpec(
        rate=5e6,
        delay=0.02,
        jitter=Jitter(0.002, "normal"),
        loss=GilbertElliott.of_bursts(0.02, 3),
    ),
    down=LinkSpec(rate=20e6, delay=0.02, jitter=0.002, loss=0.01),
)
"""The default link: every impairment that both backends support."""

_COLOURS = {"ok": "green", "failed": "red", "not measured": "yellow"}


def request(scenario: Path | None, profile: str | None, backend: str) -> Request:
    """Return the request for the links of a scenario, of a profile, or for the reference link.

    scenario, profile: at most one of them. Raises TestbedError when the links cannot be read, or
    when the backend, or the kernel's TCP, cannot do them here.
    """
    if scenario is not None:
        loaded = load_scenario(scenario)
        spec, links, source = loaded.spec, loaded.links, scenario.name
        topology, devices, seed, tcp = spec.topology, spec.devices, spec.seed, spec.tcp
    else:
        source, topology, devices, seed = profile or "reference link", "edge", 1, 1
        tcp = Tcp()
        link = REFERENCE if profile is None else find_profile(profile, "--profile").duplex()
        links = {"radio": link}
    chosen = choose_backend(backend, refusals(links, {}))
    if chosen.reason:
        say(f"links by {chosen.backend}, as {chosen.reason}")
    mappings = {
        name: {"up": link.up.to_mapping(), "down": link.down.to_mapping()}
        for name, link in links.items()
    }
    require_offered(tcp.congestion_control, "the hosts", f"{source}: ")
    return Request(
        source, topology, devices, chosen.backend, seed, mappings, tcp.congestion_control
    )


def run(wanted: Request, out: Path) -> tuple[Results, Calibration]:
    """Calibrate in a sandbox, with results under `out`; raise TestbedError if it fails."""
    check_sandbox()
    results = Results.create(out, "calibration")
    results.write_json(REQUEST, wanted)
    say(f"{wanted.source}: links by {wanted.backend}, results in {results.path}")
    code = run_in_sandbox(inside_command("testbed.calibration.worker", str(results.path.resolve())))
    if code != 0:
        raise TestbedError(f"the calibration {ending(code)}; there is no {NAME}")
    return results, Calibration.read(results.path)


def tables(calibration: Calibration) -> Iterator[Table]:
    """Yield the checks as tables for a terminal, one for each direction of each link."""
    places = dict.fromkeys((check.link, check.direction) for check in calibration.checks)
    for link, direction in places:
        shown = Table(box=SIMPLE, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        shown.add_column(f"{link} {direction}", min_width=max(map(len, _names(calibration))))
        for header in ("requested", "measured", "limit"):
            shown.add_column(header, justify="right", no_wrap=True)
        shown.add_column("verdict", no_wrap=True)
        for check in calibration.checks:
            if (check.link, check.direction) == (link, direction):
                shown.add_row(
                    check.name,
                    format_value(check.requested, check.unit),
                    format_value(check.measured, check.unit),
                    format_limits(check),
                    Text(check.outcome, _COLOURS[check.outcome]),
                )
        yield shown


def _names(calibration: Calibration) -> set[str]:
    return {check.name for check in calibration.checks}


def notes(calibration: Calibration) -> list[str]:
    """Return a line, with the reason, for each check that failed or was not measured."""
    return [
        f"{check.link} {check.direction}: {check.name} {check.outcome}: {check.note}"
        for check in calibration.checks
        if check.outcome != "ok"
    ]
