"""Results of versions 2 and 3, with their old keys, are read with the same numbers.

`old_results/version_2` is a run of commit 38c7970 and `old_results/version_3` one of 9a5ac9e, both
without captures and environment; `old_results/calibration.json` is of 38c7970, too, and
`old_results/summary.json` of an older one.
"""

from __future__ import annotations

import json
import shutil
from operator import attrgetter
from pathlib import Path

import msgspec
import pytest

from plots import draw_all
from testbed.analysis.export_chrome import chrome_trace
from testbed.calibration.result import Calibration
from testbed.errors import TestbedError
from testbed.report.page import render
from testbed.report.run_section import read_runs
from testbed.report.terminal import print_results
from testbed.results import journal, old_keys
from testbed.results.directory import Results
from testbed.results.event_metrics import event_metrics
from testbed.results.opening import check_run, open_results
from testbed.results.resume import sessions
from testbed.results.rows import Row
from tests.support.records import make_results, row

OLD = Path(__file__).parent / "old_results"


@pytest.fixture
def old(tmp_path, request) -> Results:
    """Return a run of version 2, or of the version that a test is parametrised with."""
    version = getattr(request, "param", 2)
    return open_results(Path(shutil.copytree(OLD / f"version_{version}", tmp_path / "old")))


of_each_version = pytest.mark.parametrize("old", [2, 3], indirect=True)


def written(path: Path) -> dict:
    (values,) = json.loads((path / "summary.json").read_bytes())["rows"]
    return values


@of_each_version
def test_no_value_of_a_row_is_lost_or_changed(old):
    was, now = written(old.path), old.summary().rows[0]
    moved = {
        key: path
        for version in (2, 3)
        for _, keys in old_keys.OLD_KEYS["summary.json", version]
        for key, path in keys.moved.items()
    }
    assert set(was) - set(moved) <= set(Row.__struct_fields__)
    for key, value in was.items():
        assert msgspec.to_builtins(attrgetter(moved.get(key, key))(now)) == value, key
    assert (now.counts.verified, now.counts.rejections, now.traffic.up_bytes) == (55, 9, 746)
    assert now.events.downlink_message_bytes == 18382
    assert now.events.target_tv == pytest.approx(0.0017, abs=1e-4)


@of_each_version
def test_their_events_give_the_same_metrics_today(old):
    was, events = written(old.path), old.events()["dssd-0"]
    now = event_metrics(events["device"], events["base_station"], was["start_s"], was["seconds"])
    ((_, keys),) = old_keys.OLD_KEYS["summary.json", 3]
    assert {key: was[key] for key in keys.moved} == {key: getattr(now, key) for key in keys.moved}


@of_each_version
def test_the_journal_has_the_same_rows(old):
    summary = old.summary()
    (old.path / "summary.json").unlink()
    again = open_results(old.path).summary()
    assert again.rows == summary.rows != []
    assert again.version == summary.version == 4


def test_all_of_them_is_shown_drawn_and_exported(old, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    print_results(old)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["dssd", "1/1", "795.93", "6", "3.56", "0.84", "0.2", "0.2", "0.8", "valid"] in lines
    assert shown.rstrip().endswith("verdict: valid")
    assert {path.stem for path in draw_all(old)} >= {"acceptance", "speed", "timeline", "traffic"}
    page = render(old)
    assert all(words in page for words in ("795.93", "acknowledgements", "delay, median"))
    told = page.replace("<wbr>", "")
    assert '<th scope="row">tcp.congestion_control</th>\n<td>inherited</td>' in told
    (run,) = read_runs(old, old.summary().rows, old.scenario())
    assert run.ledger is not None
    assert run.ledger.rows[0] == ("payload", "241", "18,027")
    assert b"quantise_target" in chrome_trace(old.events()["dssd-0"])


def test_what_was_measured_of_links_has_a_direction(old):
    links = old.verdict().links
    assert [check.direction for check in links] == ["up"] * 3 + ["down"] * 3
    network = next(each for each in journal.read(old.path) if isinstance(each, journal.NetworkUp))
    assert network.verdict.links == links
    calibration = Calibration.read(OLD)
    assert {check.direction for check in calibration.checks} == {"up", "down"}
    assert {curve.direction for curve in calibration.curves} == {"up", "down"}


def test_what_was_not_counted_is_not_known(tmp_path):
    shutil.copy(OLD / "summary.json", tmp_path)
    for each in Results(tmp_path).summary().rows:
        assert each.counts.draft_passes is each.counts.rejections is None
        assert each.counts.draft_lengths == each.counts.verified_per_position == []
        assert each.counts.drafted == each.traffic.up_messages == 0 < each.traffic.up_bytes


@pytest.mark.parametrize(
    ("name", "was", "changed"),
    [
        ("journal.jsonl", b'"tested":55', b'"tested":54'),
        ("journal.jsonl", b'"tested":55', b'"counts":{"verified":55}'),
        ("summary.json", b'"tested": 55', b'"tested": 54'),
        ("verdict.json", b'"way": "up"', b'"way": "down"'),
        ("runs/dssd-0/ledger.json", b'"way":"up"', b'"way":"down"'),
    ],
)
def test_a_change_of_an_old_file_is_found(old, name, was, changed):
    path = old.path / name
    content = path.read_bytes()
    assert was in content
    path.write_bytes(content.replace(was, changed, 1))
    with pytest.raises(TestbedError, match="is not as it was"):
        open_results(old.path)


def test_a_run_of_it_is_not_resumed_by_another_commit(old):
    check_run(old.path / "runs/dssd-0")
    with pytest.raises(TestbedError) as refused:
        sessions(old)
    message = str(refused.value)
    assert message.startswith(f"--resume {old.path}: it was begun with commit 38c79701415a, and")
    assert message.endswith("; go back to that, or run the scenario anew")


@pytest.mark.parametrize(
    "key", ["counts.verified", "traffic", "events", "events.network_s", "verification_rounds"]
)
def test_a_row_of_today_without_a_key_is_refused(tmp_path, key):
    results = make_results(tmp_path, [row("dsd")])
    path = results.path / "summary.json"
    summary = json.loads(path.read_bytes())
    *parents, last = key.split(".")
    inner = summary["rows"][0]
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    path.write_text(json.dumps(summary))
    with pytest.raises(TestbedError, match=f"missing required field `{last}`"):
        results.summary()


@pytest.mark.parametrize(
    "damage",
    [
        {"version": []}, {"version": {}}, {"version": True},
        {"rows": [{"tested": 1, "counts": 5}]}, {"rows": [{"tested": 1, "traffic": []}]},
    ],
)  # fmt: skip
def test_damage_is_named_whatever_it_resembles(tmp_path, damage):
    path = tmp_path / "summary.json"
    path.write_bytes(msgspec.json.encode({"version": 2, "scenario": "s", "rows": [], **damage}))
    with pytest.raises(TestbedError, match=r"summary\.json"):
        Results(tmp_path).summary()
