"""Runs that end early: killed, interrupted, refused, with a part that dies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from itertools import count
from pathlib import Path

import pytest

from testbed.emulation.backend import choose_backend
from testbed.emulation.guest_kernel import guest_missing
from testbed.emulation.netem import probe_netem
from testbed.errors import TestbedError
from testbed.scenario.run_order import shuffled
from tests.emulation.inside import need_sandbox
from tests.models.tiny import FAMILIES, IDS, save
from tests.support.whole_run import (
    long_run,
    processes_of,
    results,
    run,
    write,
)


@pytest.mark.parallel
@pytest.mark.emulation
def test_nothing_is_left_after_kill_9(tmp_path):
    process, scenario = long_run(tmp_path)
    process.kill()
    process.wait()
    gone = time.monotonic() + 60
    while processes_of(str(tmp_path)) and time.monotonic() < gone:
        time.sleep(0.1)
    assert processes_of(str(tmp_path)) == []
    found = results(scenario)
    assert len(found.summary().rows) == 1  # what was measured is kept
    assert found.verdict().reasons == ["the run did not end"]


@pytest.mark.parallel
@pytest.mark.emulation
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_keeps_what_was_measured(tmp_path, number):
    process, scenario = long_run(tmp_path)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in output + errors
    assert processes_of(str(tmp_path)) == []
    found = results(scenario)
    assert [row.method for row in found.summary().rows] == ["cloud_ar"]
    assert found.verdict().level == "invalid"
    assert "interrupted" in found.verdict().reasons[0]


@pytest.mark.parallel
@pytest.mark.emulation
@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("nodes.base_station", "base_station"),
        ("nodes.device", "device"),
        ("testbed.emulation.relay", "relay"),
        ("linux.uml", "link radio"),
    ],
)
def test_a_part_that_dies_ends_the_run_by_name(tmp_path, program, named):
    if program == "linux.uml" and (probe_netem().available or guest_missing()):
        pytest.skip(f"no guest kernel, or no need of one: {guest_missing()}")
    process, scenario = long_run(tmp_path, "netem" if program == "linux.uml" else "relay")
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            marked = entry.name.isdigit() and str(tmp_path) in (entry / "environ").read_text(
                errors="replace"
            )
            if marked and program in (entry / "cmdline").read_text().split("\0"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(state[1])
    # The guest's kernel is the parent of its other processes; their numbers may be lower.
    (victim,) = (number for number, parent in parents.items() if parent not in parents)
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert named in errors
    assert "died" in errors or "ended" in errors
    assert "Traceback" not in errors
    assert results(scenario).verdict().level == "invalid"
    assert processes_of(str(tmp_path)) == []


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_verifier_that_never_answers_is_named_and_takes_no_other_method_along(tmp_path):
    dead = {"rate": "1mbit", "loss": "100%"}
    methods = ["dsd", "device_only"]
    seed = next(n for n in count() if shuffled(methods, 1, n, {})[0].method == "dsd")
    links = {"radio": {"up": {}, "down": dead}}
    scenario = write(
        tmp_path, links=links, timeout="1s", methods=methods, seed=seed, backend="relay"
    )  # fmt: skip
    done = run(scenario, code=1)
    assert "base_station over link radio" in done.stderr
    assert "within 1 s" in done.stderr
    found = results(scenario)
    assert {row.method for row in found.summary().rows} == {"device_only"}
    assert found.verdict().level == "invalid"
    assert re.match(r"dsd failed: .* did not answer within 1 s$", found.verdict().reasons[0])


@pytest.mark.parallel
@pytest.mark.emulation
def test_netem_without_the_kernel_module_stops_before_anything_begins(tmp_path):
    need_sandbox()
    try:
        choose_backend("netem")
    except TestbedError:
        done = run(write(tmp_path), "--backend", "netem", code=1)
        assert "sch_netem" in done.stderr
        assert "--backend relay" in done.stderr
        assert not (tmp_path / "out").exists()
        return
    pytest.skip("this kernel has netem")


@pytest.mark.parallel
@pytest.mark.emulation
def test_different_vocabularies_are_refused_by_name(tmp_path):
    for name, ids in (("small", IDS), ("other", IDS + 1)):
        save(FAMILIES["llama"](), tmp_path / name, ids=ids)
    models = {"target": str(tmp_path / "small"), "draft": str(tmp_path / "other")}
    done = run(write(tmp_path, models=models), code=1)
    assert "small" in done.stderr
    assert "other" in done.stderr
    assert "id 47 is 'w47' to the one and '<|endoftext|>' to the other" in done.stderr
    assert not (tmp_path / "out").exists()
