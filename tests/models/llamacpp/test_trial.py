"""The trial of a GGUF file on this machine: made once, in a process that may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from testbed.errors import TestbedError
from testbed.models import trials
from testbed.models.llamacpp import trial
from testbed.models.spec import GgufSpec
from tests.models.llamacpp.conftest import Tiny
from tests.models.tiny_gguf import write


@pytest.fixture
def spec(llama: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GgufSpec:
    """Return a model that was never tried."""
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trials, "_made", {})
    return GgufSpec(str(llama.file), "tiny", threads=1)


def ended(code: int, output: str = "", said: str = "") -> Mock:
    """Return a replacement for `run`: a trial that ended with this code."""
    return Mock(return_value=subprocess.CompletedProcess([], code, output, said))


@pytest.mark.slow
def test_a_file_is_tried_once(spec: GgufSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = trial.with_trial(spec)
    assert tried.block_tv is not None
    assert 0 <= tried.block_tv < 1e-6
    assert msgspec.structs.replace(tried, block_tv=None) == spec
    monkeypatch.setattr(trial, "run", Mock(side_effect=AssertionError))
    assert trial.with_trial(spec) == trial.with_trial(tried) == tried
    trials._made.clear()  # as in another process
    assert trial.with_trial(spec) == tried


def test_the_result_is_printed_as_json(
    spec: GgufSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trial", msgspec.json.encode(spec).decode()])
    trial.main()
    assert 0 <= json.loads(capsys.readouterr().out)["block_tv"] < 1e-6


def test_another_file_or_number_of_threads_is_another_trial(
    spec: GgufSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(0, '{"block_tv": 0.25}')
    monkeypatch.setattr(trial, "run", run)
    assert trial.with_trial(spec).block_tv == 0.25
    trial.with_trial(spec)
    assert run.call_count == 1
    trial.with_trial(msgspec.structs.replace(spec, threads=2))
    assert run.call_count == 2
    os.utime(spec.path, ns=(1, 1))
    trial.with_trial(spec)
    assert run.call_count == 3


@pytest.mark.parametrize("fault", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
def test_a_crash_is_one_sentence(
    spec: GgufSpec, monkeypatch: pytest.MonkeyPatch, fault: signal.Signals
) -> None:
    code = f"import os; os.kill(os.getpid(), {int(fault)})"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    monkeypatch.setattr(trial, "run", ended(done.returncode))
    with pytest.raises(
        TestbedError,
        match=rf"^llama.cpp cannot run model 'tiny': its process ended by .*{fault.name}$",
    ):
        trial.with_trial(spec)


def test_a_trial_that_somebody_ended_is_not_kept(
    spec: GgufSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "run", ended(-signal.SIGKILL))
    with pytest.raises(TestbedError, match=r"trial of tiny was ended by .*SIGKILL; run it again$"):
        trial.with_trial(spec)
    monkeypatch.setattr(trial, "run", ended(0, '{"block_tv": 0.5}'))
    assert trial.with_trial(spec).block_tv == 0.5


def test_what_a_trial_says_is_passed_on(
    spec: GgufSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.gguf")
    wrong = msgspec.structs.replace(spec, path=str(path))
    monkeypatch.setattr(sys, "argv", ["trial", msgspec.json.encode(wrong).decode()])
    with pytest.raises(SystemExit, match=r"^error: model 'tiny' in .* cannot be used: "):
        trial.main()
    monkeypatch.setattr(trial, "run", ended(1, said="a warning\nerror: it fails"))
    with pytest.raises(TestbedError, match=r"^it fails$"):
        trial.with_trial(spec)
