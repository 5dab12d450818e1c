"""The commands that list the methods, topologies, profiles and models for scenarios."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import get_args

from rich.text import Text

from testbed.commands.base import Commands, list_table
from testbed.errors import TestbedError
from testbed.exit_codes import VALID
from testbed.models.spec import GgufType
from testbed.output.console import Console
from testbed.output.terminal import say, write


def add(commands: Commands) -> None:
    """Add the parsers of these commands."""
    for name, command, text in (
        ("methods", _methods, "list the methods"),
        ("policies", _policies, "list the draft-length policies"),
        ("topologies", _topologies, "list the topologies"),
        ("schema", _schema, "print the JSON schema of scenarios, for editors"),
    ):
        commands.add_parser(name, help=text).set_defaults(command=command)

    profiles = commands.add_parser(
        "profiles", help="list the profiles of links and hardware, or show one"
    )
    profiles.set_defaults(command=_profiles)
    profiles.add_argument(
        "name", nargs="?", help="show this profile, with the source of each value"
    )

    models = commands.add_parser(
        "models", help="list the models, fetch the default ones, or export one to GGUF"
    )
    models.set_defaults(command=_models)
    actions = models.add_subparsers(metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download and convert the default models")
    fetch.set_defaults(command=_fetch)
    export = actions.add_parser("export", help="write a Llama as one GGUF file, for llama.cpp")
    export.set_defaults(command=_export)
    export.add_argument("model", help="a name, a model directory or a Hugging Face id")
    export.add_argument("file", type=Path, help="the file to write, FILE.gguf")
    export.add_argument(
        "--type",
        choices=get_args(GgufType),
        default="q8_0",
        help="type of its matrices (default: %(default)s)",
    )


def _methods(args: argparse.Namespace) -> int:
    from testbed.methods.base import methods

    table = list_table("method", "what it does", "options", "source")
    for name, kind in methods().items():
        table.add_row(name, kind.summary, "\n".join(kind.Options.__struct_fields__), kind.paper)
    Console().print(table)
    return VALID


def _policies(args: argparse.Namespace) -> int:
    from testbed.drafting.base import Policy, PolicyOptions
    from testbed.drafting.policies import policies

    table = list_table("policy", "decides on", "what it does", "options", "source")
    for name, kind in policies(Policy).items():
        decides = "γ" if issubclass(kind, PolicyOptions) else "γ, ℓ"
        table.add_row(name, decides, kind.summary, "\n".join(kind.__struct_fields__), kind.paper)
    Console().print(table)
    return VALID


def _topologies(args: argparse.Namespace) -> int:
    from testbed.topology.declarations import known_topologies, topology_links

    table = list_table("topology", "what it is", "links")
    for name, kind in sorted(known_topologies().items()):
        links = [f"{link.name}: {link.node1} – {link.node2}" for link in topology_links(kind())]
        table.add_row(name, (kind.__doc__ or "").splitlines()[0], "\n".join(links))
    Console().print(table)
    return VALID


def _schema(args: argparse.Namespace) -> int:
    from testbed.scenario.json_schema import scenario_schema

    write(json.dumps(scenario_schema(), indent=2) + "\n")
    return VALID


def _profiles(args: argparse.Namespace) -> int:
    from testbed.links.profiles import PROFILES
    from testbed.models.compute.profiles import COMPUTE_PROFILES

    if args.name:
        return _show_profile(args.name)
    links = list_table("profile", "what it is", "up", "down", "one way", "basis")
    for link in PROFILES.values():
        links.add_row(
            link.name,
            link.description,
            link.up.rate.text,
            link.down.rate.text,
            link.up.delay.text,
            "measured" if link.measured else "preset",
        )
    hardware = list_table("compute profile", "what it is", "per pass", "per token", "basis")
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
    """Print a profile of a link or of hardware, with the source of each value."""
    from testbed.links.profiles import PROFILES
    from testbed.models.compute.profiles import COMPUTE_PROFILES, find_compute_profile, is_file

    if name in PROFILES:
        link = PROFILES[name]
        described = link.description
        figures = {
            f"{direction}.{key}": figure
            for direction in ("up", "down")
            for key, figure in getattr(link, direction).figures().items()
        }
    elif name in COMPUTE_PROFILES or is_file(name):
        compute = find_compute_profile(name, "testbed profiles")
        described, figures = compute.description, compute.figures()
    else:
        known = ", ".join([*PROFILES, *COMPUTE_PROFILES])
        raise TestbedError(f"testbed profiles: '{name}' is not a profile; choose from {known}")
    say(f"{name}: {described}")
    table = list_table("figure", "value", "source")
    for key, figure in figures.items():
        table.add_row(key, figure.text, figure.source)
    Console().print(table)
    return VALID


def _fetch(args: argparse.Namespace) -> int:
    from testbed.models.store.catalog import DEFAULT_DRAFT, resolve
    from testbed.models.store.fetch import fetch_default

    fetch_default()
    resolve(DEFAULT_DRAFT)  # builds the draft from the model
    return VALID


def _export(args: argparse.Namespace) -> int:
    from testbed.models.store.catalog import resolve
    from testbed.models.store.gguf_export import export_gguf

    notes = export_gguf(resolve(args.model), args.file, args.type)
    say(f"{args.file}: {args.file.stat().st_size / 1e6:.1f} MB, {args.type}", *notes)
    return VALID


def _models(args: argparse.Namespace) -> int:
    from testbed.models.engines import engines
    from testbed.models.store.catalog import describe

    table = list_table("engine", "runs", "here")
    for engine in engines():
        here = f"{engine.version}: {engine.advice}" if engine.advice else engine.version
        table.add_row(engine.name, engine.runs, Text(here))
    Console().print(table, "")
    table = list_table("model", "what it is", "ready")
    for model in describe():
        table.add_row(model.name, model.description, "yes" if model.ready else "no")
    Console().print(table)
    say(
        "A scenario may also name a model folder, a .gguf file or a Hugging Face id, which is "
        "downloaded when it is first run.",
        "Fetch the default pair with: testbed models fetch",
        "Write a Llama as a GGUF file with: testbed models export MODEL FILE.gguf (a draft that "
        "proposes only the first ids proposes all of them there)",
        "",
    )
    _print_paper_pairs()
    return VALID


def _print_paper_pairs() -> None:
    from testbed.models.store.paper_pairs import NOTES, PAPER_PAIRS

    table = list_table("draft, target", "used by", "GB to get", "GB in bf16", "in fp32", "needs")
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
        say(f"{note}: {meaning}")
