"""The journal, and the files made from it at the end of a run or without one."""

from __future__ import annotations

import errno
import json
import re
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.files.checksums import checksums
from testbed.results import journal
from testbed.results.directory import Results
from testbed.results.finalise import conclude, with_room
from testbed.results.opening import open_results
from testbed.results.resume import discard_doubtful
from testbed.results.verdict import Verdict
from testbed.scenario.run_order import RunId
from tests.support.records import row

SLOW, FAST = {"links.radio.up.rate": "1mbit"}, {"links.radio.up.rate": "9mbit"}


def made(folder) -> Results:
    """Return results of two points, two methods and two repetitions, before any run."""
    results = Results.create(folder, "made")
    results.write_scenario({"name": "made", "tcp": {"congestion_control": "cubic"}})
    plans = [{"point": point, "methods": ["dsd", "ar"]} for point in (SLOW, FAST)]
    results.write_json("plan.json", plans)
    (results.path / journal.JOURNAL).touch()
    return results


def began(results: Results, session: int, kernel: str) -> None:
    """Append a session with a network at each point, named by both."""
    environment = {"kernel": kernel}
    journal.append(results.path, journal.Began(session=session, jobs=1, environment=environment))
    for number, point in enumerate((SLOW, FAST)):
        verdict = Verdict("suspect", [f"link late in session {session}"])
        journal.append(
            results.path,
            journal.NetworkUp(
                session=session, network=f"{session}.{number}", point=point,
                processors=[0], state={"n": session}, verdict=verdict,
            ),
        )  # fmt: skip


def network_up(results: Results, network: str = "n") -> None:
    """Append a network whose links did what was asked."""
    journal.append(
        results.path,
        journal.NetworkUp(
            session=0, network=network, point=SLOW, processors=[0], state={}, verdict=Verdict()
        ),
    )


def ended(results: Results, network: str, point, method: str, repeat: int, **changes) -> None:
    run = journal.RunEnded(
        network=network, point=point, turn=RunId(method, repeat),
        verdict=Verdict(), rows=[row(method, repeat=repeat, point=point, **changes)],
    )  # fmt: skip
    journal.append(results.path, run)


def order(results: Results) -> list[tuple]:
    return [(each.point, each.repeat, each.method) for each in results.summary().rows]


WHOLE = [(p, repeat, m) for p in (SLOW, FAST) for repeat in (0, 1) for m in ("dsd", "ar")]


def test_rows_are_in_the_order_of_the_scenario_however_they_ran(tmp_path):
    results = made(tmp_path)
    assert order(open_results(results.path)) == []
    network_up(results)
    for point, repeat, method in WHOLE[::-1]:
        ended(results, "n", point, method, repeat)
    assert order(results) == WHOLE
    assert results.summary().scenario == "made"
    assert conclude(results, 0, len(WHOLE)) == 0
    (results.path / journal.JOURNAL).unlink()
    assert order(results) == WHOLE
    assert results.verdict() == Verdict()


def test_runs_whose_network_the_journal_lacks_are_invalid_in_every_file(tmp_path):
    results = made(tmp_path)
    began(results, 0, "linux")
    ended(results, "gone", SLOW, "dsd", 0)
    results.write_json("verdict.json", Verdict())
    with pytest.raises(TestbedError, match=r"by journal\.jsonl the run is invalid"):
        open_results(results.path)
    assert conclude(results, 0, 1) == 3
    reason = "journal.jsonl has no line of the network gone"
    assert results.verdict() == Verdict("invalid", [reason])
    (found,) = results.summary().rows
    assert (found.verdict, found.reasons) == ("invalid", [reason])


def test_runs_that_are_not_valid_can_be_done_once_more(tmp_path):
    results = made(tmp_path)
    for session in (0, 1):
        began(results, session, "linux")
    network_up(results, "good")
    ended(results, "good", SLOW, "dsd", 0, tokens=5)
    ended(results, "good", SLOW, "ar", 0, tokens=6, verdict="suspect", reasons=["late"])
    ended(results, "0.1", FAST, "dsd", 0, tokens=7)  # its network was late
    discard_doubtful(results, 2)
    assert order(results) == [(SLOW, 0, "dsd")]
    assert results.discarded() == 2
    ended(results, "good", SLOW, "ar", 0, tokens=8)
    assert [row.tokens for row in results.summary().rows] == [5, 8]
    conclude(results, 2, 2)
    assert (results.verdict().level, results.verdict().reasons) == ("valid", [])
    discard_doubtful(results, 3)
    assert results.discarded() == 2


def test_what_runs_did_not_meet_is_told_once_with_what_they_took_and_is_no_reason(tmp_path):
    results = made(tmp_path)
    network_up(results)
    late, again = "link radio: the change at 300s never took place", "link radio: the trace began"
    for point, seconds, unmet in ((SLOW, 12.34, [late]), (FAST, 2.0, [late, again])):
        record = journal.RunEnded(
            network="n", point=point, turn=RunId("dsd", 0), verdict=Verdict(),
            rows=[row("dsd", point=point)], seconds=seconds, unmet=unmet,
        )  # fmt: skip
        journal.append(results.path, record)
    assert conclude(results, 0, 2) == 0
    assert results.verdict().reasons == []
    assert results.warnings() == [
        f"{late} in 2 of 2 runs, which took 2.0 to 12.3 s",
        f"{again} in 1 of 2 runs, which took 2.0 s",
    ]


def test_one_run_that_did_not_meet_something_is_told_of_alone(tmp_path):
    results = made(tmp_path)
    record = journal.RunEnded(
        network="n", point=SLOW, turn=RunId("dsd", 0), verdict=Verdict(),
        rows=[row("dsd", point=SLOW)], seconds=12.34, unmet=["the handover never took place"],
    )  # fmt: skip
    journal.append(results.path, record)
    conclude(results, 0, 1)
    assert results.warnings() == ["the handover never took place: the run took 12.3 s"]


def test_a_line_that_was_cut_off_is_none(tmp_path):
    results = made(tmp_path)
    ended(results, "n", SLOW, "dsd", 0)
    path = results.path / journal.JOURNAL
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])
    assert order(results) == WHOLE[:1]
    ended(results, "n", SLOW, "ar", 0)
    assert order(results) == WHOLE[:2]


def test_a_line_that_is_being_written_is_none_yet(tmp_path, monkeypatch):
    results = made(tmp_path)
    for repeat in (0, 1):
        ended(results, "n", SLOW, "dsd", repeat)
    first, second = (results.path / journal.JOURNAL).read_bytes().splitlines(keepends=True)
    # Python goes on with a file that has grown since its end was read.
    monkeypatch.setattr(Path, "open", lambda *_: nullcontext([first, second[:50], second[50:]]))
    assert len(list(journal.read(results.path))) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "line 1 cannot be read: .*`event`"),
        (b'{"event": "\xff"}', "line 1 cannot be read: .*utf-8"),
        (b"3", "line 1 cannot be read: "),
        (b"[" * 100_000, "line 1 cannot be read: "),
        (b"", "line 1 cannot be read: "),
    ],
)
def test_what_is_not_a_line_of_a_journal_is_named(tmp_path, line, reason):
    results = made(tmp_path)
    ended(results, "n", SLOW, "dsd", 0)
    path = results.path / journal.JOURNAL
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(TestbedError, match=f"^{path}: {reason}"):
        results.summary()


@pytest.fixture(scope="module")
def two_lines(tmp_path_factory):
    """Return results and their journal of two runs."""
    results = made(tmp_path_factory.mktemp("journal"))
    for repeat in (0, 1):
        ended(results, "n", SLOW, "dsd", repeat)
    return results, (results.path / journal.JOURNAL).read_bytes()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_line_that_was_changed_is_named_whatever_was_changed(two_lines, data):
    results, whole = two_lines
    path = results.path / journal.JOURNAL
    end = whole.index(b"\n") + 1
    place = data.draw(st.integers(end, len(whole) - 2), label="place")
    byte = data.draw(st.integers(0, 255).filter(lambda n: n != whole[place]), label="byte")
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    with pytest.raises(TestbedError, match=f"^{path}: line 2 is not as it was written: "):
        results.summary()


def without_checksum(lines: bytes) -> bytes:
    return re.sub(rb',"crc32":"[0-9a-f]{8}"}\n', b"}\n", lines)


def test_a_journal_of_an_older_commit_has_no_checksums_and_is_read(tmp_path):
    results = made(tmp_path)
    for method in ("dsd", "ar"):
        ended(results, "n", SLOW, method, 0)
    path = results.path / journal.JOURNAL
    new = path.read_bytes()
    old = without_checksum(new)
    assert len(old) == len(new) - 2 * 19
    path.write_bytes(old)
    assert order(results) == WHOLE[:2]


@pytest.mark.parametrize(("stripped", "line"), [({0}, 1), ({1}, 2), ({2}, 3), ({0, 1, 2}, 1)])
def test_a_line_that_lost_its_checksum_is_named(tmp_path, stripped, line):
    """The first of three lines says that its testbed wrote checksums."""
    results = made(tmp_path)
    files = checksums(results.path, [results.path / "plan.json"])
    began = journal.Began(session=0, jobs=1, environment={}, files=files)
    journal.append(results.path, began)
    for method in ("dsd", "ar"):
        ended(results, "n", SLOW, method, 0)
    path = results.path / journal.JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    for number in stripped:
        lines[number] = without_checksum(lines[number])
    path.write_bytes(b"".join(lines))
    with pytest.raises(TestbedError, match=f"^{path}: line {line} is not as it was written: "):
        results.summary()


def test_a_journal_that_ends_anywhere_is_read_up_to_its_last_whole_line(two_lines):
    """Any part of its last two lines may have reached the disk (as ALICE, OSDI 2014, tests)."""
    results, whole = two_lines
    path = results.path / journal.JOURNAL
    first = whole.index(b"\n") + 1
    near = [first - 1, first, first + 1, len(whole) - 1, len(whole)]
    for end in (*range(0, len(whole), 17), *near):
        path.write_bytes(whole[:end])
        assert len(results.ended()) == (end >= first) + (end == len(whole))


def test_a_point_or_method_that_nobody_planned_is_named(tmp_path):
    results = made(tmp_path)
    ended(results, "n", SLOW, "gumbel", 0)
    match = "it has a run of gumbel at links.radio.up.rate 1mbit, which plan.json does not have"
    with pytest.raises(TestbedError, match=match):
        results.summary()


def test_what_stopped_a_run_is_told_with_what_it_leaves_undone(tmp_path):
    results = made(tmp_path)
    began(results, 0, "6.1")
    ended(results, "0.0", SLOW, "dsd", 0, verdict="invalid", reasons=["late"])
    stopped = journal.Stopped(session=0, point=FAST, reason="the run stopped: no node")
    journal.append(results.path, stopped)
    assert conclude(results, 0, len(WHOLE)) == 1
    assert order(results) == WHOLE[:1]
    verdict = results.verdict()
    assert verdict.level == "invalid"
    assert verdict.reasons == [
        "links.radio.up.rate 9mbit: the run stopped: no node",
        "7 of 8 runs have not ended",
        "links.radio.up.rate 1mbit: link late in session 0",
        "dsd prompt 1 at links.radio.up.rate 1mbit: late",
    ]


def failed(results: Results, session: int, point, turn: RunId, reason: str) -> None:
    record = journal.RunFailed(session=session, network="n", point=point, turn=turn, reason=reason)
    journal.append(results.path, record)


def test_a_run_that_failed_is_named_until_it_has_ended_and_has_no_row(tmp_path):
    results = made(tmp_path)
    network_up(results)
    ended(results, "n", FAST, "dsd", 1)
    failed(results, 0, FAST, RunId("ar", 1), "no answer")
    failed(results, 0, SLOW, RunId("dsd", 0), "a node died")
    assert conclude(results, 0, len(WHOLE)) == 1
    found = results.summary()
    assert [row.method for row in found.rows] == ["dsd"]
    assert [(run.method, run.repeat, run.point, run.reason) for run in found.failed] == [
        ("dsd", 0, SLOW, "a node died"),
        ("ar", 1, FAST, "no answer"),
    ]
    assert results.verdict().level == "invalid"
    assert results.verdict().reasons == [
        "links.radio.up.rate 1mbit: dsd failed: a node died",
        "links.radio.up.rate 9mbit: ar repeat 2 failed: no answer",
        "7 of 8 runs have not ended",
    ]
    # In another session the one ends, and the other fails for another reason.
    ended(results, "n", SLOW, "dsd", 0)
    failed(results, 1, FAST, RunId("ar", 1), "no memory")
    assert conclude(results, 1, len(WHOLE)) == 1
    assert [run.reason for run in results.summary().failed] == ["no memory"]
    assert results.verdict().reasons[0] == (
        "links.radio.up.rate 9mbit: ar repeat 2 failed: no memory"
    )


def test_where_no_space_is_left_what_counts_for_nothing_goes_first(tmp_path):
    results = made(tmp_path)
    left_over = results.run("ar", 0, SLOW) / "capture.pcap"
    left_over.touch()

    def write() -> bool:
        if left_over.exists():
            raise OSError(errno.ENOSPC, "full")
        return True

    assert with_room(results, write)
    with pytest.raises(PermissionError):
        with_room(results, Mock(side_effect=PermissionError(errno.EACCES, "no")))


def test_the_end_of_a_network_that_never_began_is_named(tmp_path):
    results = made(tmp_path)
    journal.append(results.path, journal.NetworkDown(network="n", state={}))
    with pytest.raises(TestbedError, match="tells of the end of network n, and not that it began"):
        conclude(results, 0, len(WHOLE))


def test_a_resumed_run_tells_of_both_sessions_and_not_of_what_stopped_the_first(tmp_path):
    results = made(tmp_path)
    began(results, 0, "6.1")
    ended(results, "0.0", *(WHOLE[0][0], WHOLE[0][2], WHOLE[0][1]))
    stopped = journal.Stopped(session=0, point=SLOW, reason="the run was interrupted")
    journal.append(results.path, stopped)
    began(results, 1, "6.2")
    for point, repeat, method in WHOLE[1:]:
        ended(results, "1.1", point, method, repeat)
    down = journal.NetworkDown(network="1.1", state={"n": 2})
    journal.append(results.path, down)
    assert conclude(results, 1, len(WHOLE)) == 3
    # The network that no run ended on in the end is no reason for anything.
    assert results.verdict().reasons == [
        "links.radio.up.rate 1mbit: link late in session 0",
        "links.radio.up.rate 9mbit: link late in session 1",
    ]
    environment = json.loads((results.path / "environment.json").read_bytes())
    assert environment["kernel"] == "6.1"
    assert [each["kernel"] for each in environment["resumed"]] == ["6.2"]
    assert [each["session"] for each in environment["networks"]] == [0, 0, 1, 1]
    assert environment["networks"][3]["before"] == {"n": 1}
    assert environment["networks"][3]["after"] == {"n": 2}
