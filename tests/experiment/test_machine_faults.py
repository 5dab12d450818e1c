"""A machine that refuses: whichever write fails, nothing that was measured is lost or invented."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
from collections.abc import Callable

import pytest

from testbed.experiment import launcher
from testbed.host.machine_errors import REPORTABLE, sentence
from testbed.results.directory import Results
from testbed.results.journal import Began, NetworkUp, read
from testbed.results.verdict import Verdict
from testbed.scenario.scenario import Scenario
from tests.support.fake_runs import fake_runs, scenario
from tests.support.records import row


class Machine:
    """Fails the n-th write to a file, or all from the n-th on, with an error of its choice."""

    def __init__(self, monkeypatch) -> None:
        self.writes = 0
        self._fails: Callable[[int], bool] = lambda _n: False
        self._number = 0
        machine, true_open = self, io.open

        class Raw(io.FileIO):
            def write(self, data):
                machine.count()
                return super().write(data)

        def opened(path, mode="r", buffering=-1, *arguments, **keywords):
            if not set(mode) & set("wax+") or "opener" in keywords:  # a temporary file has one
                return true_open(path, mode, buffering, *arguments, **keywords)
            machine.count()
            raw = Raw(path, mode.replace("b", ""))
            if buffering == 0:
                return raw
            file = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return file if "b" in mode else io.TextIOWrapper(file, *arguments, **keywords)

        monkeypatch.setattr(io, "open", opened)
        monkeypatch.setattr(os, "fsync", lambda _file: machine.count())  # true ones take time
        for name in ("mkdir", "replace"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def fail(self, number: int, fails: Callable[[int], bool]) -> None:
        """Fail those writes from now on, with this number of errno."""
        self.writes, self._number, self._fails = 0, number, fails

    def mend(self) -> None:
        self.fail(0, lambda _n: False)

    def count(self) -> None:
        self.writes += 1
        if self._fails(self.writes):
            raise OSError(self._number, os.strerror(self._number))

    def _counted(self, function):
        def counted(*arguments, **keywords):
            self.count()
            return function(*arguments, **keywords)

        return counted


def found(folder) -> Results:
    (only,) = folder.iterdir()
    return Results(only)


def attempt(folder, wanted: Scenario) -> str:
    """Launch; what it said if it could not be carried through."""
    try:
        launcher.launch(wanted, folder)
    except REPORTABLE as error:
        assert "\n" not in sentence(error)
        return sentence(error)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "for_good", "step"),
    [("ENOSPC", False, 1), ("ENOSPC", True, 1), ("EMFILE", False, 3), ("EROFS", True, 3)],
)
def test_whichever_write_fails_what_was_measured_is_kept(
    tmp_path, monkeypatch, name, for_good, step
):
    fake_runs(monkeypatch)
    number = getattr(errno, name)
    said = sentence(OSError(number, ""))
    wanted = scenario(sweep={"seed": [1, 2]}, methods=["dsd", "device_only"])
    machine = Machine(monkeypatch)
    launcher.launch(wanted, tmp_path / "whole")
    writes = machine.writes
    rows = found(tmp_path / "whole").summary().rows
    assert len(rows) == 4
    assert writes > 50
    for nth in range(1, writes + 1, step):
        folder = tmp_path / str(nth)
        machine.fail(number, nth.__le__ if for_good else nth.__eq__)
        error = attempt(folder, wanted)
        machine.mend()
        if not folder.is_dir() or not list(folder.iterdir()):
            assert "cannot write there" in error
            continue
        results = found(folder)
        if not (results.path / "journal.jsonl").exists():
            assert said in error  # nothing had begun
            continue
        records = list(read(results.path))
        ended = results.ended()
        verdict = results.verdict() if (results.path / "verdict.json").exists() else None
        # What was measured is kept, and nothing is invented.
        assert all(each in rows for run in ended for each in run.rows)
        if verdict and verdict.level == "valid":
            assert len(ended) == 4
        elif not for_good and verdict:
            assert any(said in reason for reason in verdict.reasons), verdict.reasons
        else:
            assert said in error
        # One fault takes no more along than the runs at one point.
        if not for_good and any(isinstance(record, NetworkUp) for record in records):
            assert len(ended) >= 2
        if any(isinstance(record, Began) for record in records):
            launcher.resume(results.path)
            assert results.summary().rows == rows
            assert results.verdict() == Verdict()


def test_results_that_are_deleted_meanwhile_are_not_made_again(tmp_path, monkeypatch, capsys):
    fakes = fake_runs(monkeypatch)

    def decode(running, *_):
        shutil.rmtree(running.deployment.results.path)
        return [row("dsd")]

    monkeypatch.setattr(fakes, "decode", decode)
    error = attempt(tmp_path / "out", scenario(methods=["dsd", "device_only"]))
    assert re.fullmatch(
        r".*/out/[^/]*: it was removed during the run, with what had been measured; run the "
        "scenario anew",
        error,
    )
    assert list((tmp_path / "out").iterdir()) == []
    assert capsys.readouterr().err == ""  # the command prints the error, and nobody else anything


def test_no_memory_for_a_run_is_its_failure_and_the_next_one_goes_on(tmp_path, monkeypatch):
    fakes = fake_runs(monkeypatch)
    decode = fakes.decode

    def large(running, *rest):
        if running.entry.label == "dsd":
            raise MemoryError
        return decode(running, *rest)

    monkeypatch.setattr(fakes, "decode", large)
    results, code = launcher.launch(scenario(methods=["dsd", "device_only"]), tmp_path)
    assert code == 1
    assert [row.method for row in results.summary().rows] == ["device_only"]
    assert results.verdict().reasons[0].startswith("dsd failed: there is not enough memory; ")
