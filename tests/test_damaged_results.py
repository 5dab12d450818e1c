"""Results that were cut, changed or replaced: each reader shows them or refuses them by name."""

from __future__ import annotations

import gzip
import importlib
import json
import random
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

import plots
from testbed import journal
from testbed.calibration.record import Calibration, Curves
from testbed.commands import read
from testbed.emulation.packet_log import ChangeLine, End, Header, PacketLine, packet_log_path
from testbed.environment import describe_environment
from testbed.errors import TestbedError
from testbed.models.spec import SyntheticSpec
from testbed.order import Turn
from testbed.plan import Plan, read_plans
from testbed.report import page
from testbed.results import Results
from testbed.resumption import discard_doubtful, sessions
from testbed.traces.captured import Captured, Pair, write_captures
from testbed.traces.check import Check
from testbed.traces.phases import PHASES
from testbed.traces.verdict import Verdict
from tests.records import row, write_events
from tests.report.pages import write_whole
from tests.traces import recorded

POINTS = [{"seed": 1, "repeat": 1}, {"seed": 1, "repeat": 2}]
METHODS = ["dsd", "dssd"]
MEASURED = {
    "token_s": [0.5, 0.5, 0.6], "round_s": [0.5, 0.1], "phases": dict.fromkeys(PHASES, 0.1),
    "tested_at": [9, 6, 2], "accepted_at": [6, 3, 2], "rejections": 2, "start_s": 5.0,
}  # fmt: skip
RUN = "runs/dsd-0*seed*1*repeat*1*"


def write_results(parent: Path) -> Results:
    """Everything that a run and a calibration leave behind, by hand."""
    rows = [
        row(method, point=point, prompt=prompt, **MEASURED)
        for point in POINTS
        for method in METHODS
        for prompt in (0, 1)
    ]
    results = write_whole(
        parent, rows, ["one", "two"], ["eins", "zwei"], seed=1,
        methods=[{"method": method, "label": method} for method in METHODS], sweep=POINTS,
        energy={"per_drafted_token": "80mJ", "per_bit": "1nJ"},
    )  # fmt: skip
    spec, order = SyntheticSpec(100, 0.8), [Turn(method, 0) for method in METHODS]
    plans = [Plan(p, "relay", spec, spec, ["1 2", "3"], [], METHODS, order) for p in POINTS]
    results.write_json("plan.json", plans)
    _write_journal(results, rows)
    results.write_json("environment.json", {**describe_environment(), "load": [0.1, 0.2, 0.3]})
    (results.path / "inputs").mkdir()
    (results.path / "inputs/trace").write_text("1\n")
    results.write_json("calibration.json", _calibration())
    for point in POINTS:
        for method in METHODS:
            folder = results.run(method, 0, point)
            for node in ("device", "base_station"):
                write_events(folder / f"{node}.jsonl", node)
            (folder / "changes.radio.jsonl").write_text('{"scheduled": 1, "applied": 2}\n')
            _write_packets(folder)
            _write_captures(folder)
    return results


def _write_journal(results: Results, rows: list[Any]) -> None:
    (results.path / journal.JOURNAL).touch()
    began = journal.Began(session=0, jobs=1, environment=describe_environment())
    journal.append(results.path, began)
    for number, point in enumerate(POINTS):
        up = journal.NetworkUp(
            session=0, network=f"0.{number}", point=point, processors=[0], state={},
            verdict=Verdict("suspect", ["busy"]),
        )  # fmt: skip
        journal.append(results.path, up)
        for method in METHODS:
            mine = [each for each in rows if (each.point, each.method) == (point, method)]
            run = journal.RunEnded(
                network=f"0.{number}", point=point, turn=Turn(method, 0), verdict=Verdict(),
                rows=mine,
            )  # fmt: skip
            journal.append(results.path, run)


def _calibration() -> Calibration:
    curves = [
        Curves(
            "radio", way, delays=[0.01, 0.02], delays_asked=[0.01, 0.02], runs=[0.9, 0.1],
            runs_asked=[0.8, 0.2], changes=[(0.0, 0.01), (0.1, 0.02)],
            changes_asked=[(0.0, 0.01), (0.1, 0.02)], deliveries=[1, 2], deliveries_asked=[1, 2],
        )
        for way in ("up", "down")
    ]  # fmt: skip
    checks = [
        Check(
            link="radio", way=way, name=f"burst of {n}", outcome="ok", unit="s", requested=0.01,
            measured=0.01,
        )
        for way in ("up", "down")
        for n in (1, 2)
    ]  # fmt: skip
    return Calibration(
        source="s.yaml", backend="relay", links={"radio": {"up": {}, "down": {}}}, checks=checks,
        curves=curves, environment={},
    )  # fmt: skip


def _write_packets(folder: Path) -> None:
    start = 5 * 10**9
    for way in ("up", "down"):
        lines = [
            Header(1, "radio", way, 0, start, {"rate": "10mbit"}),
            *(
                PacketLine(n, start + n * 10**7, 900, start + n * 10**7 + 5, start + n * 10**7 + 9)
                for n in range(20)
            ),
            PacketLine(20, start + 10**8, 900, dropped="loss"),
            ChangeLine(start + 10**8, {"rate": "5mbit"}, scheduled=start + 10**8),
            End(start + 10**9, 21, 20, {"loss": 1}, 0, 0),
        ]
        content = msgspec.json.Encoder().encode_lines(lines)
        packet_log_path(folder, "radio", way).write_bytes(gzip.compress(content, mtime=0))


def _write_captures(folder: Path) -> None:
    up, down = recorded.streams()
    frames = [
        *recorded.segments(up, [64, 200, 900], 7),
        *recorded.segments(down, [64, 200], 9, up=False),
    ]
    for host in ("device", "base_station"):
        recorded.write(folder / f"{host}.pcap", frames)
    ends = [
        Captured(host=host, files=[f"{host}.pcap"], address=address, ahead=0, dilation=1.0)
        for host, address in (("device", recorded.UP), ("base_station", recorded.DOWN))
    ]
    write_captures(folder, {"radio": Pair(*ends)})


def show(path: Path) -> None:
    read._show(Namespace(results=path))


def report(path: Path) -> None:
    page.render(Results.open(path))


def export(path: Path) -> None:
    read._export(Namespace(results=path, format="chrome"))


def table(path: Path) -> None:
    if find_spec("pyarrow"):  # optional
        read._export(Namespace(results=path, format="parquet"))


def packets(path: Path) -> None:
    (run,) = path.glob(RUN)
    read._packets(Namespace(run=run, link=None, frames=False))
    read._packets(Namespace(run=run, link=None, frames=True))


def resume(path: Path) -> None:
    results = Results.open(path)
    sessions(results)
    read_plans(results)
    discard_doubtful(results, 1)
    results.remove_unfinished()


def figure(name: str) -> Callable[[Path], None]:
    def draw(path: Path) -> None:
        importlib.import_module(f"plots.{name}").draw(Results.open(path))

    return draw


FIGURES = [figure(name) for name in plots.names() if name != "style"]
READERS: dict[str, list[Callable[[Path], None]]] = {
    "summary.json": [show, report, *FIGURES],
    "scenario.yaml": [show, report, figure("timeline"), figure("winners")],
    "verdict.json": [show, report],
    "plan.json": [show, report, resume],
    "environment.json": [show, report],
    "journal.jsonl": [show, report, resume],
    "calibration.json": [figure("calibration")],
    f"{RUN}/device.jsonl": [export, table, figure("timeline")],
    f"{RUN}/base_station.jsonl": [export, table, figure("timeline")],
    f"{RUN}/changes.radio.jsonl": [export],
    f"{RUN}/packets.radio.up.jsonl.gz": [figure("link")],
    f"{RUN}/captures.json": [packets],
    f"{RUN}/device.pcap": [packets],
    f"{RUN}/ledger.json": [report],
    f"{RUN}/text.txt": [report],
}
"""Every file of results, and all that reads it."""
ODD = [None, -1, 0, 10**30, 1e300, 0.1, "", "x", "../../x", "\0", "é" * 300, [], [[]], {}, {"a": 1}]
SHARE = 4
"""Places of a file that are cut, and places that are changed, of each kind."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("whole")).path


def damages(content: bytes, name: str, draw: random.Random) -> Iterator[bytes | None]:
    """The content cut, changed byte by byte, and changed value by value.

    None stands for a folder, then for nothing in its place.
    """
    zipped = name.endswith(".gz")
    yield None
    yield None
    yield from (b"", b"\n", b"\x00\xff\xfe junk \x80", b"{}", b"[]", b"null", b"[" * 100_000)
    yield from (content[: len(content) * n // SHARE] for n in range(1, SHARE))
    for _ in range(SHARE):
        changed = bytearray(content)
        changed[draw.randrange(len(changed))] = draw.randrange(256)
        yield bytes(changed)
    plain = gzip.decompress(content) if zipped else content
    for _ in range(2 * SHARE):
        if (other := _with_odd_value(plain, draw)) is not None:
            yield gzip.compress(other) if zipped else other


def _with_odd_value(content: bytes, draw: random.Random) -> bytes | None:
    """JSON, or lines of it, with one value that is odd or gone; None for anything else."""
    lines = content.split(b"\n") if b"\n{" in content and content[:1] == b"{" else [content]
    lines = lines if all(not line or _is_json(line) for line in lines) else [content]
    number = draw.randrange(len([line for line in lines if line]))
    if not _is_json(lines[number]):
        return None
    value = json.loads(lines[number])
    places = [(value, key) for key in _keys(value)]
    for inner in _inner(value):
        places += [(inner, key) for key in _keys(inner)]
    if not places:
        return None
    place, key = draw.choice(places)
    if draw.random() < 0.2:
        del place[key]
    else:
        place[key] = draw.choice(ODD)
    lines[number] = json.dumps(value).encode()
    return b"\n".join(lines)


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict | list)
    except ValueError:
        return False


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value)))


def _inner(value: Any) -> Iterator[Any]:
    """All mappings and lists within another."""
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield each
            yield from _inner(each)


@pytest.mark.parametrize("name", READERS)
def test_damage_is_shown_or_refused_by_name(whole, tmp_path, name, capsys, monkeypatch):
    monkeypatch.setattr(page, "draw_figures", lambda _: [])  # they are read below
    draw = random.Random(name)
    path = tmp_path / "results"
    shutil.copytree(whole, path)
    (file,) = path.glob(name)
    content = file.read_bytes()
    kept = {each: each.read_bytes() for each in (path / "summary.json", path / journal.JOURNAL)}
    refused = 0
    for number, damaged in enumerate(damages(content, name, draw)):
        if file.is_dir():
            file.rmdir()
        for each, was in kept.items():
            each.write_bytes(was)
        file.unlink(missing_ok=True)
        if damaged is not None:
            file.write_bytes(damaged)
        elif number == 0:
            file.mkdir()
        for reader in READERS[name]:
            try:
                reader(path)
            except TestbedError as error:
                refused += 1
                assert str(path) in str(error), (number, damaged)
                assert "\n" not in str(error), (number, damaged)
    assert refused or name.endswith(("text.txt", "changes.radio.jsonl"))
