"""`testbed profile-compute`: record the pace of a model on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from testbed.commands.base import Commands, list_table
from testbed.errors import TestbedError
from testbed.exit_codes import NOT_VALID, VALID
from testbed.models.spec import Device, Dtype, FileSpec, GgufSpec
from testbed.output.console import Console
from testbed.output.terminal import say


def add(commands: Commands) -> None:
    """Add the parser of this command."""
    record = commands.add_parser(
        "profile-compute",
        help="record the time of a model's passes here, as a profile to pace models by",
    )
    record.set_defaults(command=_profile_compute)
    record.add_argument(
        "--model", required=True, help="record this model; `testbed models` lists them"
    )
    record.add_argument(
        "--role",
        choices=("draft", "target"),
        default="target",
        help="record passes of this role: a draft predicts one token per pass, a target all that "
        "it verifies; default: target",
    )
    record.add_argument(
        "--dtype", choices=get_args(Dtype), help="compute in this type; default: the model's own"
    )
    record.add_argument(
        "--device", choices=get_args(Device), default="cpu", help="compute here; default: cpu"
    )
    record.add_argument(
        "--threads", type=int, help="use so many threads; default: as many as the library takes"
    )
    record.add_argument(
        "--out", type=Path, metavar="FILE.yaml", help="write the profile to this file"
    )


def _profile_compute(args: argparse.Namespace) -> int:
    from testbed.models.compute.recording import record, write_profile
    from testbed.models.load import load_model, with_trial
    from testbed.models.memory import Load, require_memory
    from testbed.models.store.catalog import resolve, with_options

    if args.threads is not None and args.threads < 1:
        raise TestbedError(f"--threads: it is {args.threads}; it must be 1 or more")
    if args.out and (args.out.exists() or not args.out.parent.is_dir()):
        reason = "it exists already" if args.out.exists() else "there is no such folder"
        raise TestbedError(f"--out {args.out}: {reason}")
    spec = with_trial(
        with_options(
            resolve(args.model), dtype=args.dtype, threads=args.threads, device=args.device
        )
    )
    require_memory([Load(spec, processes=1)])
    model = load_model(spec, args.role)
    with Console().status("") as status:
        recording = record(
            model,
            args.role,
            progress=lambda passes: status.update(f"{passes} passes of each length"),
        )
    table = list_table("tokens", "predicted", "passes", "median ms", "p90 ms", "line ms", "off")
    for each in recording.timed:
        table.add_row(
            str(each.tokens),
            str(each.predicted),
            str(len(each.seconds)),
            f"{each.median * 1e3:.2f}",
            f"{each.p90 * 1e3:.2f}",
            f"{recording.pace.seconds(each.tokens) * 1e3:.2f}",
            f"{recording.relative_error(each):+.0%}",
        )
    Console().print(table)
    say(*recording.remarks())
    if args.out:
        write_profile(recording.profile(_described(spec, args.model)), args.out)
        say(str(args.out))
    return NOT_VALID if recording.noisy else VALID


def _described(spec: FileSpec, name: str) -> dict[str, object]:
    """Return the model and what it was run by, for the profile."""
    if isinstance(spec, GgufSpec):
        from testbed.host.cores import usable_cores
        from testbed.models.llamacpp.library import PACKAGE, VERSION

        engine: dict[str, object] = {
            "dtype": f"GGUF by llama.cpp ({PACKAGE} {VERSION})",
            "threads": spec.threads or usable_cores(),
            "device": spec.device,
        }
    else:
        import torch

        engine = {
            "dtype": spec.dtype,
            "threads": torch.get_num_threads(),
            "device": "cpu" if spec.device == "cpu" else torch.cuda.get_device_name(),
        }
    return {"name": name, **engine}
