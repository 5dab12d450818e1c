"""The command line: `testbed …`."""

from __future__ import annotations

import argparse
import os
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console
from rich.table import Table

from testbed import __version__
from testbed.errors import TestbedError
from testbed.models.spec import Device, Dtype

if TYPE_CHECKING:
    from testbed.results import Results

# Commands import what they need when called: `testbed methods` should not load a network.
# ruff: noqa: PLC0415

_RUN_OPTIONS = ("out", "set", "methods", "repeat", "seed", "backend", "jobs")
VALID, ERROR, NOT_VALID, INTERRUPTED = 0, 1, 3, 130


def main() -> None:
    """Entry point of the console script; exits with the code of the command."""
    args = _parser().parse_args()
    try:
        code = args.command(args)
        sys.stdout.flush()
    except TestbedError as error:
        print(f"error: {error}", file=sys.stderr)
        code = ERROR
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read our output has gone
        code = ERROR
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="testbed",
        description="Network-emulation testbed for edge-cloud speculative decoding.",
        epilog="Exit codes: 0 valid, 1 error, 2 usage, 3 ran but the verdict is not valid.",
    )
    parser.add_argument("--version", action="version", version=f"testbed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a scenario")
    run.set_defaults(command=_run)
    run.add_argument("scenario", type=Path, nargs="?", metavar="SCENARIO.yaml")
    run.add_argument(
        "--resume",
        type=Path,
        metavar="RESULTS",
        help="instead of a scenario: go on with a run that was interrupted, as it was begun",
    )
    run.add_argument(
        "--redo", action="store_true", help="with --resume: do runs that are not valid once more"
    )
    run.add_argument("--out", type=Path, help="default: results")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the scenario, e.g. links.radio.up.rate=2mbit",
    )
    run.add_argument("--methods", metavar="A,B", help="run only these")
    run.add_argument("--repeat", type=int, help="repetitions of everything")
    run.add_argument("--seed", type=int)
    run.add_argument("--backend", choices=("auto", "netem", "relay"))
    run.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="run so many points of a sweep, or repetitions, side by side; default: 1",
    )

    _add_readers(commands)

    doctor = commands.add_parser("doctor", help="say what this machine can do, and what it lacks")
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="print the same as JSON")

    calibrate = commands.add_parser(
        "calibrate",
        help="measure whether links do what they are asked to",
    )
    calibrate.set_defaults(command=_calibrate)
    which = calibrate.add_mutually_exclusive_group()
    which.add_argument(
        "scenario", type=Path, nargs="?", metavar="SCENARIO.yaml", help="measure its links"
    )
    which.add_argument("--profile", metavar="NAME", help="measure this one, see `testbed profiles`")
    calibrate.add_argument("--backend", choices=("auto", "netem", "relay"), default="auto")
    calibrate.add_argument("--out", type=Path, default=Path("results"), help="default: results")

    guest = commands.add_parser(
        "guest", help="run a command under a kernel with netem, over the files of this one"
    )
    guest.set_defaults(command=_guest)
    guest.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="end it then, with code 124"
    )
    guest.add_argument("argv", nargs="+", metavar="-- COMMAND")

    for name, command, text in (
        ("methods", _methods, "list the methods"),
        ("topologies", _topologies, "list the topologies"),
    ):
        commands.add_parser(name, help=text).set_defaults(command=command)

    profiles = commands.add_parser(
        "profiles", help="list the profiles of links and of hardware, or show one"
    )
    profiles.set_defaults(command=_profiles)
    profiles.add_argument("name", nargs="?", help="show this one, with the source of each figure")

    record = commands.add_parser(
        "profile-compute",
        help="record what a model takes on this machine, to pace others by",
    )
    record.set_defaults(command=_profile_compute)
    record.add_argument("--model", required=True, help="see `testbed models`")
    record.add_argument(
        "--role",
        choices=("draft", "target"),
        default="target",
        help="a draft predicts one token a pass, a target all that it verifies (default)",
    )
    record.add_argument("--dtype", choices=get_args(Dtype), help="default: the model's own")
    record.add_argument("--device", choices=get_args(Device), default="cpu", help="default: cpu")
    record.add_argument("--threads", type=int, help="default: what the library takes")
    record.add_argument("--out", type=Path, metavar="FILE.yaml", help="write the profile there")

    models = commands.add_parser("models", help="list the models, or fetch the default ones")
    models.set_defaults(command=_models)
    models.add_argument("action", nargs="?", choices=("fetch",), help="download and convert")
    return parser


def _add_readers(commands: Any) -> None:
    """The commands that read results."""
    plot = commands.add_parser("plot", help="draw the figures of a results directory")
    plot.set_defaults(command=_plot)
    plot.add_argument("results", type=Path)

    show = commands.add_parser("show", help="print the table of a results directory")
    show.set_defaults(command=_show)
    show.add_argument("results", type=Path)

    report = commands.add_parser("report", help="write a results directory as one HTML page")
    report.set_defaults(command=_report)
    report.add_argument("results", type=Path)

    export = commands.add_parser(
        "export", help="write the events of a results directory for others"
    )
    export.set_defaults(command=_export)
    export.add_argument("results", type=Path)
    export.add_argument(
        "--format",
        choices=("chrome", "parquet"),
        default="chrome",
        help="chrome: a trace per run for ui.perfetto.dev (default); parquet: all in one table",
    )

    packets = commands.add_parser("packets", help="show the rounds that were captured in a run")
    packets.set_defaults(command=_packets)
    packets.add_argument("run", type=Path, metavar="RESULTS/runs/RUN")
    packets.add_argument("--link", help="default: the first")
    packets.add_argument(
        "--frames", action="store_true", help="show every element of ZeroMQ's streams instead"
    )


def _run(args: argparse.Namespace) -> int:
    from testbed.launch import resume

    given = [key for key in ("scenario", *_RUN_OPTIONS) if getattr(args, key) not in (None, [])]
    if args.resume is None and args.redo:
        raise TestbedError("testbed run: --redo goes with --resume RESULTS")
    if args.resume is None:
        results, code = _launch(args)
    elif given:
        raise TestbedError(f"--resume goes on with a run as it was begun; leave out {given[0]}")
    else:
        results, code = resume(args.resume, redo=args.redo)
    # Behind the run: what they need themselves takes half a second to import.
    from plots import FIRST, draw_all
    from testbed.table import print_results

    print_results(results)
    for path in draw_all(results, FIRST):
        if path.suffix == ".png":
            print(path)
    print(
        f"more figures: testbed plot {results.path}; all on one page: testbed report {results.path}"
    )
    return code


def _launch(args: argparse.Namespace) -> tuple[Results, int]:
    from testbed.launch import launch
    from testbed.scenario import load_scenario

    if args.scenario is None:
        raise TestbedError("testbed run: give a SCENARIO.yaml, or --resume RESULTS")
    changes = list(args.set)
    for key in ("repeat", "seed", "backend"):
        if getattr(args, key) is not None:
            changes.append(f"{key}={getattr(args, key)}")
    methods = args.methods.split(",") if args.methods else None
    scenario = load_scenario(args.scenario, changes, methods)
    return launch(scenario, args.out or Path("results"), 1 if args.jobs is None else args.jobs)


def _plot(args: argparse.Namespace) -> int:
    from plots import draw_all
    from testbed.results import Results

    for path in draw_all(Results.open(args.results)):
        print(path)
    return VALID


def _show(args: argparse.Namespace) -> int:
    from testbed.results import Results
    from testbed.table import print_results

    print_results(Results.open(args.results))
    return VALID


def _report(args: argparse.Namespace) -> int:
    from testbed.report.page import write_report
    from testbed.results import Results

    print(write_report(Results.open(args.results)))
    return VALID


def _export(args: argparse.Namespace) -> int:
    from testbed.results import Results
    from testbed.traces.chrome import chrome_trace
    from testbed.traces.parquet import write_parquet

    results = Results.open(args.results)
    runs = results.events()
    if not runs:
        raise TestbedError(f"{args.results}: no run there has written events")
    if args.format == "parquet":
        path = results.path / "events.parquet"
        write_parquet({run: chain.from_iterable(runs[run].values()) for run in runs}, path)
        print(path)
        return VALID
    for run, nodes in runs.items():
        path = results.path / "runs" / run / "trace.json"
        path.write_bytes(chrome_trace(nodes))
        print(path)
    return VALID


def _packets(args: argparse.Namespace) -> int:
    from testbed.traces.captured import books, read_captures
    from testbed.traces.rounds import rounds
    from testbed.traces.tables import rounds_table, uses_table

    captures = read_captures(args.run)
    link = args.link or next(iter(captures))
    if link not in captures:
        raise TestbedError(f"--link {link}: captured were {', '.join(captures)}")
    up, down = books(args.run, captures)[link]
    if args.frames:
        from testbed.traces.layers import elements_table

        Console(soft_wrap=True).print(elements_table(up, down))
        return VALID
    end = 1 + max(up.last, down.last)
    Console().print(
        rounds_table(rounds(up, down)), uses_table(up.between(0, end), down.between(0, end))
    )
    return VALID


def _doctor(args: argparse.Namespace) -> int:
    import msgspec

    from testbed.doctor.examine import examine, runs_are_possible, table

    records = examine()
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(records)).decode())
    else:
        Console().print(table(records))
    return VALID if runs_are_possible(records) else ERROR


def _calibrate(args: argparse.Namespace) -> int:
    from plots import draw
    from testbed.calibration import launch

    results, calibration = launch.run(
        launch.request(args.scenario, args.profile, args.backend), args.out
    )
    Console().print(*launch.tables(calibration))
    for note in launch.notes(calibration):
        print(note)
    print(results.path / "calibration.json")
    for path in draw(results, "calibration"):
        print(path)
    print("calibration: passed" if calibration.passed else "calibration: failed")
    return VALID if calibration.passed else NOT_VALID


def _guest(args: argparse.Namespace) -> int:
    from testbed.emulation.guest_shell import run_in_guest

    return run_in_guest(args.argv, args.timeout)


def _methods(args: argparse.Namespace) -> int:
    from testbed.methods.base import methods

    table = _table("method", "what it does", "options", "source")
    for name, kind in methods().items():
        table.add_row(name, kind.summary, "\n".join(kind.Options.__struct_fields__), kind.paper)
    Console().print(table)
    return VALID


def _topologies(args: argparse.Namespace) -> int:
    from testbed.emulation.topology import known_topologies, topology_links

    table = _table("topology", "what it is", "links")
    for name, kind in sorted(known_topologies().items()):
        links = [f"{link.name}: {link.node1} – {link.node2}" for link in topology_links(kind())]
        table.add_row(name, (kind.__doc__ or "").splitlines()[0], "\n".join(links))
    Console().print(table)
    return VALID


def _profiles(args: argparse.Namespace) -> int:
    from testbed.links.profiles import PROFILES
    from testbed.models.profiles import COMPUTE_PROFILES

    if args.name:
        return _show_profile(args.name)
    links = _table("profile", "what it is", "up", "down", "one way", "basis")
    for link in PROFILES.values():
        links.add_row(
            link.name,
            link.description,
            link.up.rate.text,
            link.down.rate.text,
            link.up.delay.text,
            "measured" if link.measured else "preset",
        )
    hardware = _table("compute profile", "what it is", "per pass", "per token", "basis")
    for compute in COMPUTE_PROFILES.values():
        hardware.add_row(
            compute.name,
            compute.description,
            compute.per_pass.text,
            compute.per_token.text,
            "measured" if compute.measured else "preset",
        )
    Console().print(links, "", hardware)
    return VALID


def _show_profile(name: str) -> int:
    """A profile of either kind, with the source of each figure."""
    from testbed.links.profiles import PROFILES
    from testbed.models.profiles import COMPUTE_PROFILES, find_compute_profile, is_file

    if name in PROFILES:
        link = PROFILES[name]
        described = link.description
        figures = {
            f"{way}.{key}": figure
            for way in ("up", "down")
            for key, figure in getattr(link, way).figures().items()
        }
    elif name in COMPUTE_PROFILES or is_file(name):
        compute = find_compute_profile(name, "testbed profiles")
        described, figures = compute.description, compute.figures()
    else:
        known = ", ".join([*PROFILES, *COMPUTE_PROFILES])
        raise TestbedError(f"testbed profiles: '{name}' is not a profile; choose from {known}")
    print(f"{name}: {described}")
    table = _table("figure", "value", "source")
    for key, figure in figures.items():
        table.add_row(key, figure.text, figure.source)
    Console().print(table)
    return VALID


def _profile_compute(args: argparse.Namespace) -> int:
    import msgspec

    from testbed.models.catalog import resolve
    from testbed.models.load import load_model
    from testbed.models.memory import Load, require_memory
    from testbed.models.recording import record, write_profile

    if args.threads is not None and args.threads < 1:
        raise TestbedError(f"--threads: it is {args.threads}; it must be 1 or more")
    if args.out and (args.out.exists() or not args.out.parent.is_dir()):
        reason = "it exists already" if args.out.exists() else "there is no such folder"
        raise TestbedError(f"--out {args.out}: {reason}")
    spec = resolve(args.model)
    spec = msgspec.structs.replace(
        spec, dtype=args.dtype or spec.dtype, threads=args.threads, device=args.device
    )
    require_memory([Load(spec, processes=1)])
    model = load_model(spec, args.role)
    with Console().status("") as status:
        recording = record(
            model,
            args.role,
            progress=lambda passes: status.update(f"{passes} passes of each length"),
        )
    table = _table("tokens", "predicted", "passes", "median ms", "p90 ms", "line ms", "off")
    for each in recording.timed:
        table.add_row(
            str(each.tokens),
            str(each.predicted),
            str(len(each.seconds)),
            f"{each.median * 1e3:.2f}",
            f"{each.p90 * 1e3:.2f}",
            f"{recording.pace.seconds(each.tokens) * 1e3:.2f}",
            f"{recording.off(each):+.0%}",
        )
    Console().print(table)
    for sentence in recording.verdict():
        print(sentence)
    if args.out:
        import torch

        described = {
            "name": args.model,
            "dtype": spec.dtype,
            "threads": torch.get_num_threads(),
            "device": "cpu" if args.device == "cpu" else torch.cuda.get_device_name(),
        }
        write_profile(recording.profile(described), args.out)
        print(args.out)
    return NOT_VALID if recording.noisy else VALID


def _models(args: argparse.Namespace) -> int:
    if args.action == "fetch":
        from testbed.models.catalog import DEFAULT_DRAFT, resolve
        from testbed.models.weights import fetch_default

        fetch_default()
        resolve(DEFAULT_DRAFT)  # builds it
        return VALID
    from testbed.models.catalog import describe

    table = _table("model", "what it is", "ready")
    for model in describe():
        table.add_row(model.name, model.description, "yes" if model.ready else "no")
    Console().print(table)
    print(
        "A scenario may also name a model folder, a .gguf file or a Hugging Face id, which is "
        "downloaded when it is first run.\nFetch the default pair with: testbed models fetch\n"
    )
    _print_paper_pairs()
    return VALID


def _print_paper_pairs() -> None:
    from testbed.models.paper_pairs import NOTES, PAPER_PAIRS

    table = _table("draft, target", "used by", "GB to get", "GB in bf16", "in fp32", "needs")
    for pair in PAPER_PAIRS:
        models = (pair.draft, pair.target)
        table.add_row(
            "\n".join(model.id for model in models),
            pair.used_by,
            f"{sum(model.download for model in models):.1f}",
            *(f"{sum(model.memory(size) for model in models):.1f}" for size in (2, 4)),
            pair.note,
        )
    Console().print(table)
    for note, meaning in NOTES.items():
        print(f"{note}: {meaning}")


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    return table
