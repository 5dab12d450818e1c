"""The commands that read a results directory."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from testbed.commands.base import Commands
from testbed.errors import TestbedError
from testbed.exit_codes import VALID
from testbed.output.console import Console
from testbed.output.terminal import complain, say

_RESULTS = "read this results directory"


def add(commands: Commands) -> None:
    """Add the parsers of these commands."""
    plot = commands.add_parser("plot", help="draw the figures of a results directory")
    plot.set_defaults(command=_plot)
    plot.add_argument("results", type=Path, help=_RESULTS)

    show = commands.add_parser("show", help="print the tables of a results directory")
    show.set_defaults(command=_show)
    show.add_argument("results", type=Path, help=_RESULTS)

    report = commands.add_parser("report", help="write a results directory as one HTML page")
    report.set_defaults(command=_report)
    report.add_argument("results", type=Path, help=_RESULTS)

    export = commands.add_parser(
        "export", help="convert the events of a results directory for other programs"
    )
    export.set_defaults(command=_export)
    export.add_argument("results", type=Path, help=_RESULTS)
    export.add_argument(
        "--format",
        choices=("chrome", "parquet"),
        default="chrome",
        help="write this format: chrome, a trace per run for ui.perfetto.dev (default), or "
        "parquet, one table of all runs",
    )

    packets = commands.add_parser("packets", help="print the rounds captured in a run")
    packets.set_defaults(command=_packets)
    packets.add_argument(
        "run", type=Path, metavar="RESULTS/runs/RUN", help="read the captures of this run"
    )
    packets.add_argument("--link", help="show this link; default: the first")
    packets.add_argument(
        "--frames", action="store_true", help="print every element of ZeroMQ's streams instead"
    )


def _plot(args: argparse.Namespace) -> int:
    from plots import draw_all, nothing_to_draw
    from testbed.results.opening import open_results

    results = open_results(args.results)
    drawn = 0
    for path in draw_all(results):
        say(str(path))
        drawn += 1
    if not drawn:
        raise TestbedError(f"{results.path}: {nothing_to_draw(results)}")
    return VALID


def _show(args: argparse.Namespace) -> int:
    from testbed.report.terminal import print_results
    from testbed.results.opening import open_results

    print_results(open_results(args.results))
    return VALID


def _report(args: argparse.Namespace) -> int:
    from testbed.report.page import write_report
    from testbed.results.opening import open_results

    say(str(write_report(open_results(args.results))))
    return VALID


def _export(args: argparse.Namespace) -> int:
    from testbed.analysis.export_chrome import chrome_trace
    from testbed.analysis.export_parquet import write_parquet
    from testbed.analysis.validity import simulated_note
    from testbed.results.opening import open_results

    results = open_results(args.results)
    for path in results.missing_events():
        complain(f"left out: {path}: it is missing")
    runs = results.events()
    if not runs:
        raise TestbedError(f"{args.results}: no run there has written events")
    note = simulated_note(results)
    if args.format == "parquet":
        path = results.path / "events.parquet"
        events = {run: chain.from_iterable(runs[run].values()) for run in runs}
        write_parquet(events, path, results.backend(), note)
        say(str(path))
        return VALID
    for run, nodes in runs.items():
        path = results.path / "runs" / run / "trace.json"
        path.write_bytes(chrome_trace(nodes, note))
        say(str(path))
    return VALID


def _packets(args: argparse.Namespace) -> int:
    from testbed.pcap.capture_index import read_captures, sent_frames
    from testbed.pcap.rounds import rounds
    from testbed.pcap.tables import rounds_table, uses_table
    from testbed.results.opening import check_run

    check_run(args.run)
    captures = read_captures(args.run)
    link = args.link or next(iter(captures))
    if link not in captures:
        raise TestbedError(f"--link {link}: it was not captured; choose from {', '.join(captures)}")
    up, down = sent_frames(args.run, captures)[link]
    if args.frames:
        from testbed.pcap.scapy_layers import elements_table

        Console().print(elements_table(up, down), soft_wrap=True)
        return VALID
    end = 1 + max(up.last, down.last)
    Console().print(
        rounds_table(rounds(up, down)), uses_table(up.between(0, end), down.between(0, end))
    )
    return VALID
