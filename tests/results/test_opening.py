"""Results that were cut, changed or replaced: every reader refuses them and names the file.

Those of an older testbed, which wrote no checksums, are shown or refused by name.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
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
from testbed.analysis.phases import PHASES, RoundTime, TextTimes
from testbed.calibration.result import Calibration, Curves
from testbed.commands import results as results_commands
from testbed.emulation.packet_log import ChangeLine, End, Header, PacketLine, packet_log_path
from testbed.errors import TestbedError
from testbed.files.checksums import checksums
from testbed.host.environment import describe_environment
from testbed.models.spec import SyntheticSpec
from testbed.pcap.capture_index import Captured, CapturePair, write_captures
from testbed.report import page
from testbed.results import journal
from testbed.results.directory import Results
from testbed.results.finalise import conclude
from testbed.results.link_check import Check
from testbed.results.opening import open_results
from testbed.results.plan import Plan, read_plans
from testbed.results.resume import discard_doubtful, sessions
from testbed.results.verdict import Verdict
from testbed.scenario.run_order import RunId
from tests.pcap import recorded
from tests.report.pages import write_whole
from tests.support.records import row, write_events

POINTS = [{"seed": 1, "repeat": 1}, {"seed": 1, "repeat": 2}]
METHODS = ["dsd", "dssd"]
MEASURED = {
    "token_s": [0.5, 0.5, 0.6], "round_s": [0.5, 0.1], "phases": dict.fromkeys(PHASES, 0.1),
    "verified_per_position": [9, 6, 2], "accepted_per_position": [6, 3, 2], "rejections": 2,
    "start_s": 5.0,
}  # fmt: skip
RUN = "runs/dsd-0*seed*1*repeat*1*"


def write_results(parent: Path) -> Results:
    """Write all files that a run and a calibration leave behind."""
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
    spec, order = SyntheticSpec(100, 0.8), [RunId(method, 0) for method in METHODS]
    plans = [Plan(p, "relay", spec, spec, ["1 2", "3"], [], METHODS, order) for p in POINTS]
    results.write_json("plan.json", plans)
    (results.path / "inputs").mkdir()
    (results.path / "inputs/trace").write_text("1\n")
    results.write_json("calibration.json", _calibration())
    for point in POINTS:
        for method in METHODS:
            folder = results.run(method, 0, point)
            for node in ("device", "base_station"):
                write_events(folder / f"{node}.jsonl", node)
            (folder / "changes.radio.jsonl").write_text('{"scheduled": 1, "applied": 2}\n')
            rounds = [RoundTime(round=0, seconds=0.5, phases=MEASURED["phases"])]
            times = [TextTimes(prompt=0, device="device", rounds=rounds)]
            (folder / "rounds.json").write_bytes(msgspec.json.encode(times))
            _write_packets(folder)
            _write_captures(folder)
    _write_journal(results, rows)
    conclude(results, 0, len(POINTS) * len(METHODS))
    return results


def _write_journal(results: Results, rows: list[Any]) -> None:
    (results.path / journal.JOURNAL).touch()
    began = journal.Began(
        session=0, jobs=1, environment={**describe_environment(), "load": [0.1, 0.2, 0.3]},
        files=checksums(results.path, results.inputs()),
    )  # fmt: skip
    journal.append(results.path, began)
    check = Check(
        link="radio", direction="up", name="delay, median", outcome="ok", unit="s", requested=0.02,
        measured=0.0201, low=0.0195, high=0.0205,
    )  # fmt: skip
    for number, point in enumerate(POINTS):
        up = journal.NetworkUp(
            session=0, network=f"0.{number}", point=point, processors=[0], state={},
            verdict=Verdict("suspect", ["busy"], [check]),
        )  # fmt: skip
        journal.append(results.path, up)
        for method in METHODS:
            mine = [each for each in rows if (each.point, each.method) == (point, method)]
            folder = results.run(method, 0, point)
            run = journal.RunEnded(
                network=f"0.{number}", point=point, turn=RunId(method, 0), verdict=Verdict(),
                rows=mine, files=checksums(folder, folder.iterdir()),
            )  # fmt: skip
            journal.append(results.path, run)


def make_older(path: Path) -> None:
    """Turn results into those of an older testbed, which wrote no checksums."""
    file = path / journal.JOURNAL
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    older = [
        {key: value for key, value in line.items() if key not in {"crc32", "files"}}
        for line in lines
        if line["event"] != "concluded"
    ]
    file.write_bytes(msgspec.json.Encoder().encode_lines(older))


def _calibration() -> Calibration:
    curves = [
        Curves(
            "radio", direction, delays=[0.01, 0.02], delays_asked=[0.01, 0.02], runs=[0.9, 0.1],
            runs_asked=[0.8, 0.2], changes=[(0.0, 0.01), (0.1, 0.02)],
            changes_asked=[(0.0, 0.01), (0.1, 0.02)], deliveries=[1, 2], deliveries_asked=[1, 2],
        )
        for direction in ("up", "down")
    ]  # fmt: skip
    checks = [
        Check(
            link="radio", direction=direction, name=f"burst of {n}", outcome="ok", unit="s",
            requested=0.01, measured=0.01,
        )
        for direction in ("up", "down")
        for n in (1, 2)
    ]  # fmt: skip
    return Calibration(
        source="s.yaml", backend="relay", links={"radio": {"up": {}, "down": {}}}, checks=checks,
        curves=curves, environment={},
    )  # fmt: skip


def _write_packets(folder: Path) -> None:
    start = 5 * 10**9
    for direction in ("up", "down"):
        lines = [
            Header(1, "radio", direction, 0, start, {"rate": "10mbit"}),
            *(
                PacketLine(n, start + n * 10**7, 900, start + n * 10**7 + 5, start + n * 10**7 + 9)
                for n in range(20)
            ),
            PacketLine(20, start + 10**8, 900, dropped="loss"),
            ChangeLine(start + 10**8, {"rate": "5mbit"}, scheduled=start + 10**8),
            End(start + 10**9, 21, 20, {"loss": 1}, 0, 0),
        ]
        content = msgspec.json.Encoder().encode_lines(lines)
        packet_log_path(folder, "radio", direction).write_bytes(gzip.compress(content, mtime=0))


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
    write_captures(folder, {"radio": CapturePair(*ends)})


def show(path: Path) -> None:
    results_commands._show(Namespace(results=path))


def report(path: Path) -> None:
    page.render(open_results(path))


def export(path: Path) -> None:
    results_commands._export(Namespace(results=path, format="chrome"))


def table(path: Path) -> None:
    if find_spec("pyarrow"):  # optional
        results_commands._export(Namespace(results=path, format="parquet"))


def packets(path: Path) -> None:
    (run,) = path.glob(RUN)
    results_commands._packets(Namespace(run=run, link=None, frames=False))
    results_commands._packets(Namespace(run=run, link=None, frames=True))


def resume(path: Path) -> None:
    results = open_results(path)
    sessions(results)
    read_plans(results)
    discard_doubtful(results, 1)
    results.remove_unfinished()


def plot(path: Path) -> None:
    results_commands._plot(Namespace(results=path))


def figure(name: str) -> Callable[[Path], None]:
    def draw(path: Path) -> None:
        importlib.import_module(f"plots.{name}").draw(open_results(path))

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
"""Files of results, and the readers of those of an older testbed."""
ROUNDS = f"{RUN}/rounds.json"
CHECKED = [name for name in (*READERS, ROUNDS) if name != "calibration.json"]
"""A calibration has no journal."""
EVERY = [show, plot, report, export, packets, resume]
NEEDED = ("scenario.yaml", "plan.json", "journal.jsonl")
ODD = [None, -1, 0, 10**30, 1e300, 0.1, "", "x", "../../x", "\0", "é" * 300, [], [[]], {}, {"a": 1}]
SHARE = 4
"""Number of positions of a file that are cut, and number that are changed, of each kind."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("whole")).path


@pytest.fixture
def path(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "results")


def damages(content: bytes, name: str, draw: random.Random) -> Iterator[bytes | None]:
    """Yield the content cut, changed byte by byte, and changed value by value.

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
    """Return JSON, or lines of it, with one value odd or missing; None for other content."""
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
    """Yield all mappings and lists within another."""
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield each
            yield from _inner(each)


def damaged_files(path: Path, name: str) -> Iterator[tuple[Path, bytes | None]]:
    """Yield the file of this name after each kind of damage, and its content; None if removed."""
    (file,) = path.glob(name)
    content = file.read_bytes()
    kept = {each: each.read_bytes() for each in (path / "summary.json", path / journal.JOURNAL)}
    for number, damaged in enumerate(damages(content, name, random.Random(name))):
        if file.is_dir():
            file.rmdir()
        for each, was in kept.items():
            each.write_bytes(was)
        file.unlink(missing_ok=True)
        if damaged is not None:
            file.write_bytes(damaged)
        elif number == 0:
            file.mkdir()
        if damaged != content:
            yield file, damaged


@pytest.mark.parametrize("name", READERS)
def test_damage_of_older_results_is_shown_or_refused_by_name(path, name, capsys, monkeypatch):
    monkeypatch.setattr(page, "draw_figures", lambda _: [])  # they are read below
    make_older(path)
    refused = 0
    for _, damaged in damaged_files(path, name):
        for reader in READERS[name]:
            try:
                reader(path)
            except TestbedError as error:
                refused += 1
                assert str(path) in str(error), damaged
                assert "\n" not in str(error), damaged
    assert refused or name.endswith(("text.txt", "changes.radio.jsonl"))


@pytest.mark.parametrize("name", CHECKED)
def test_every_reader_refuses_damage_of_any_file_by_its_name(path, name, capsys):
    (file,) = path.glob(name)
    size = file.stat().st_size
    for number, (file, damaged) in enumerate(damaged_files(path, name)):
        if not file.exists() and name not in NEEDED:
            continue
        # Large files are read by what needs them alone.
        same = name.endswith((".pcap", ".gz")) and damaged is not None and len(damaged) == size
        reader = packets if same else EVERY[number % len(EVERY)]
        with pytest.raises(TestbedError) as caught:
            reader(path)
        assert str(path) in str(caught.value), (reader, damaged)
        assert file.name in str(caught.value), (reader, damaged)
        assert "\n" not in str(caught.value), (reader, damaged)
    assert number > 10


@pytest.mark.parametrize("reader", EVERY)
def test_whole_results_are_read_by_every_reader(path, reader, capsys, monkeypatch):
    monkeypatch.setattr("plots.draw_all", lambda _: iter([path]))
    monkeypatch.setattr(page, "draw_figures", lambda _: [])
    reader(path)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


CHANGES = {
    "a figure": ("summary.json", lambda file: change(file, '"tokens": 10', '"tokens": 99')),
    "a text's verdict": ("summary.json", lambda file: change(file, '"suspect"', '"valid"')),
    "a better verdict": ("verdict.json", lambda file: change(file, '"suspect"', '"valid"')),
    "a reason": ("verdict.json", lambda file: change(file, "busy", "fine")),
    "a kernel": ("environment.json", lambda file: change(file, '"kernel": "', '"kernel": "x')),
    "an unknown key": ("scenario.yaml", lambda file: change(file, "name: ", "unknown: 1\nname: ")),
    "a warning": ("plan.json", lambda file: change(file, '"warnings": []', '"warnings": ["x"]')),
    "an input": ("inputs/trace", lambda file: file.write_text("2\n")),
    "no lines": ("journal.jsonl", empty),
    "no journal": ("journal.jsonl", Path.unlink),
    "a pipe": ("scenario.yaml", make_pipe),
    "a wrong type": (ROUNDS, lambda file: file.write_text("{}")),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("reader", EVERY)
def test_what_was_changed_by_hand_is_named_though_it_can_be_read(path, what, reader, capsys):
    name, damage = CHANGES[what]
    (file,) = path.glob(name)
    damage(file)
    with pytest.raises(TestbedError, match=f"^{path}/.*{file.name}") as caught:
        reader(path)
    assert "; restore " in str(caught.value)


def test_a_journal_without_lines_is_what_is_wrong_and_no_summary_is_to_be_removed(path):
    empty(path / journal.JOURNAL)
    with pytest.raises(TestbedError, match=f"^{path}/journal.jsonl: it holds no line; restore it"):
        show(path)


def test_a_journal_that_lost_its_first_line_is_refused(path):
    file = path / journal.JOURNAL
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(TestbedError, match=f"^{path}/journal.jsonl: line 1 does not say how"):
        show(path)


OLDER = ("a figure", "a better verdict", "no lines", "no journal", "a pipe")
"""Changes that are found without checksums, too."""


@pytest.mark.parametrize("what", CHANGES)
def test_of_an_older_testbed_rows_and_verdict_are_compared_with_the_journal(path, what, capsys):
    make_older(path)
    name, damage = CHANGES[what]
    (file,) = path.glob(name)
    damage(file)
    if what in OLDER:
        with pytest.raises(TestbedError, match=file.name):
            show(path)
    else:
        show(path)


def test_rows_may_have_lower_verdicts_than_the_journal_and_no_better_ones(path):
    """An older testbed wrote the row's verdict alone; newer ones include the network's."""
    make_older(path)
    summary = open_results(path).summary()
    summary.rows[0].verdict = "suspect"
    summary.rows[0].reasons.append("busy")
    Results(path).write_json("summary.json", summary)
    open_results(path)
    file = path / journal.JOURNAL
    file.write_text(file.read_text().replace('"verdict":"valid"', '"verdict":"invalid"'))
    with pytest.raises(TestbedError, match=r"summary\.json: it does not have the runs of journal"):
        open_results(path)


@pytest.mark.parametrize("journalled", [True, False])
def test_events_that_are_cut_off_are_not_exported_without_a_word(path, journalled):
    make_older(path)
    if not journalled:
        (path / journal.JOURNAL).unlink()
        (path / "environment.json").unlink()
    (file,) = path.glob(f"{RUN}/device.jsonl")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(TestbedError, match=f"^{file}: line 11 is cut off; restore the file, or re"):
        export(path)


def test_a_missing_file_of_events_is_named_and_the_others_are_exported(path, capsys):
    (file,) = path.glob(f"{RUN}/base_station.jsonl")
    file.unlink()
    export(path)
    told = capsys.readouterr()
    assert told.err == f"left out: {file}: it is missing\n"
    assert len(told.out.splitlines()) == len(POINTS) * len(METHODS)


def test_an_event_that_came_after_the_end_of_a_run_is_no_damage(path):
    (file,) = path.glob(f"{RUN}/base_station.jsonl")
    with file.open("ab") as more:
        more.write(file.read_bytes().splitlines(keepends=True)[-1])
    assert open_results(path).events()


def test_what_is_made_of_the_journal_can_be_removed_and_made_anew(path):
    kept = {name: (path / name).read_bytes() for name in ("summary.json", "verdict.json")}
    for name in kept:
        (path / name).unlink()
    results = open_results(path)
    assert len(results.summary().rows) == 8
    conclude(results, 1, 4)
    assert {name: (path / name).read_bytes() for name in kept} == kept
    assert open_results(path).verdict().level == "suspect"


def test_a_verdict_that_the_run_did_not_end_stands_while_all_is_concluded_anew(path):
    Results(path).write_json("verdict.json", Verdict("invalid", ["the run did not end: no space"]))
    assert open_results(path).verdict().level == "invalid"


def test_a_run_that_stands_by_itself_is_read_as_far_as_it_is_whole(path, tmp_path, capsys):
    (run,) = path.glob(RUN)
    alone = shutil.copytree(run, tmp_path / "a/b")
    results_commands._packets(Namespace(run=alone, link=None, frames=False))
    (alone / "device.pcap").write_bytes((alone / "device.pcap").read_bytes()[:-9])
    with pytest.raises(TestbedError, match=f"^{alone}/device.pcap: .* cut off"):
        results_commands._packets(Namespace(run=alone, link=None, frames=False))
