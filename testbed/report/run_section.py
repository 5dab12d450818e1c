"""The runs of the page: the generations of each, the use of its bytes, and its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.analysis.aggregate import by_point
from testbed.analysis.method_table import NONE
from testbed.analysis.metrics import acceptance
from testbed.audit.capture_evidence import Entry
from testbed.errors import TestbedError
from testbed.files.input_file import is_file
from testbed.output.text_table import Column, Table
from testbed.pcap.byte_ledger import Ledger
from testbed.report.scenario_section import prompts
from testbed.results import old_keys
from testbed.results.directory import Results
from testbed.results.rows import Row
from testbed.results.verdict import Level, worst
from testbed.scenario.sweep import Values, at_point, namer


@dataclass(frozen=True)
class Written:
    """The text that a method generated for a prompt on one device.

    `prompt` is None where the texts of all prompts cannot be separated.
    """

    prompt: int | None
    asked: str
    device: str
    text: str


@dataclass(frozen=True)
class Run:
    """The run of one method in one repetition at one point of the sweep."""

    title: str
    folder: str
    """Path relative to the results directory."""
    verdict: Level
    reasons: list[str]
    texts: Table
    ledger: Table | None
    """Bytes by use, or None where nothing was captured."""
    written: list[Written]
    several: bool
    """True if several devices decoded."""


def read_runs(results: Results, rows: Sequence[Row], scenario: Mapping[str, Any]) -> Iterator[Run]:
    """Yield the runs by point of the sweep, in the order of the rows."""
    every = by_point(list(rows))
    name = namer(point for point, _ in every)
    for point, there in every:
        asked = prompts(_scenario_at(scenario, point))
        for method, repeat in dict.fromkeys((row.method, row.repeat) for row in there):
            mine = [row for row in there if (row.method, row.repeat) == (method, repeat)]
            folder = results.run_path(method, repeat, point)
            devices = list(dict.fromkeys(row.device for row in mine))
            where = [f"repetition {repeat + 1}"] if any(row.repeat for row in rows) else []
            yield Run(
                title=", ".join([method, *where, *([name(point)] if point else [])]),
                folder=str(folder.relative_to(results.path)),
                verdict=worst(row.verdict for row in mine),
                reasons=list(dict.fromkeys(_reasons(mine))),
                texts=_texts_table(mine),
                ledger=_ledger_table(folder / "ledger.json"),
                written=list(_read_texts(folder, devices, asked, method)),
                several=len(devices) > 1,
            )


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the reasons shared by all generations of a run, then those of single ones."""
    shared = set(rows[0].reasons).intersection(*(row.reasons for row in rows[1:]))
    yield from (reason for reason in rows[0].reasons if reason in shared)
    for row in rows:
        for reason in row.reasons:
            if reason not in shared:
                yield f"prompt {row.prompt + 1}: {reason}"


def _scenario_at(scenario: Mapping[str, Any], point: Values) -> Mapping[str, Any]:
    """Return the scenario at a point; unchanged if the point has keys that only its source had."""
    try:
        return at_point(scenario, point, "scenario.yaml")
    except TestbedError:
        return scenario


def _texts_table(rows: Sequence[Row]) -> Table:
    table = Table(
        "verdict", "tokens", Column("time", "s"), Column("speed", "tokens/s"), Column("TTFT", "ms"),
        "exchanges", "verification rounds", "draft passes", "drafted", "acceptance", "resends",
        "redecodes", Column("frames up", "B"), Column("frames down", "B"), "SHA-256 of tokens",
        first="prompt",
    )  # fmt: skip
    several = len({row.device for row in rows}) > 1
    for row in rows:
        passes, accepted = row.counts.draft_passes, acceptance([row])
        table.add_row(
            f"{row.prompt + 1}, {row.device}" if several else str(row.prompt + 1),
            row.verdict, str(row.tokens), f"{row.seconds:.3f}",
            f"{row.tokens_per_second:,.2f}", f"{1000 * row.ttft_s:,.0f}", str(row.counts.rounds),
            str(row.verification_rounds), NONE if passes is None else str(passes),
            str(row.counts.drafted),
            NONE if accepted is None else f"{accepted:.2f}",
            str(row.traffic.resends), str(row.redecodes), f"{row.uplink_wire_bytes:,}",
            f"{row.downlink_wire_bytes:,}", row.output_sha256[:12],
        )  # fmt: skip
    return table


def _ledger_table(path: Path) -> Table | None:
    """Return the table of a run's bytes by use, for each direction of each link."""
    if not is_file(path):
        return None
    entries = old_keys.read(path, list[Entry])
    directions = list(dict.fromkeys((entry.link, entry.direction) for entry in entries))
    table = Table(*(f"{link} {direction}" for link, direction in directions), first="bytes for")
    for use in (*Ledger.__struct_fields__, "total"):
        sums = [
            sum(
                getattr(each.uses, use)
                for each in entries
                if (each.link, each.direction) == direction
            )
            for direction in directions
        ]
        table.add_row(use.replace("_", ", "), *(f"{size:,}" for size in sums))
    return table


def _read_texts(
    folder: Path, devices: Sequence[str], asked: Sequence[str], label: str
) -> Iterator[Written]:
    for device in devices:
        for path in (folder / f"text.{device}.txt", folder / "text.txt"):
            if is_file(path):
                content = path.read_bytes().decode(errors="replace")
                yield from (
                    Written(prompt, "" if prompt is None else asked[prompt], device, text)
                    for prompt, text in split_texts(content, asked, label)
                )
                break


def split_texts(content: str, asked: Sequence[str], label: str) -> Iterator[tuple[int | None, str]]:
    """Yield the number of each prompt and its text out of text.txt; None and all if inseparable.

    Headings are found with the known prompts, so a prompt that looks like a heading is not one.
    """
    begins: list[tuple[int, int, int]] = []
    end = 0
    for number, prompt in enumerate(asked):
        head = f"--- prompt {number + 1}\n{prompt}\n--- {label}\n"
        found = content.find(head, end)
        if found >= 0:
            end = found + len(head)
            begins.append((number, found, end))
    if not begins:
        yield None, content
        return
    ends = [begin for _, begin, _ in begins[1:]] + [len(content)]
    for (number, _, begin), end in zip(begins, ends, strict=True):
        yield number, content[begin:end].removesuffix("\n\n")
