"""The choice of operators: made once, kept on disk and in the plan of a run."""

from __future__ import annotations

import json
import signal
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from testbed.errors import TestbedError
from testbed.host import environment
from testbed.models import trials
from testbed.models.cpu import operators
from testbed.models.cpu.operators import machine, with_operators
from testbed.models.spec import HuggingFaceSpec, OperatorChoice
from tests.models.tiny import FAMILIES, save

tried: list[HuggingFaceSpec] = []


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HuggingFaceSpec:
    """Return a model; the cache is empty, and trials are counted instead of run."""

    def choose(spec: HuggingFaceSpec) -> OperatorChoice:
        tried.append(spec)
        return OperatorChoice(len(tried), "it", machine(), ((1, 2.0, 1.0),))

    tried.clear()
    for name in operators._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(operators, "_try", choose)
    monkeypatch.setattr(trials, "_made", {})
    path = save(FAMILIES["llama"](), tmp_path / "llama")
    return HuggingFaceSpec(str(path), "it", threads=1)


def new_process() -> None:
    trials._made.clear()


def test_a_choice_is_made_once(spec: HuggingFaceSpec) -> None:
    chosen = with_operators(spec)
    new_process()
    assert with_operators(spec) == chosen
    assert with_operators(chosen) is chosen
    assert chosen.operators == OperatorChoice(1, "it", machine(), ((1, 2.0, 1.0),))
    assert tried == [spec]


def test_two_that_try_at_once_keep_one_choice(
    spec: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_first(spec: HuggingFaceSpec) -> OperatorChoice:
        trials._made.clear()
        monkeypatch.setattr(operators, "_try", lambda _spec: OperatorChoice(8, "them", "here"))
        assert with_operators(spec).operators == OperatorChoice(8, "them", "here")
        return OperatorChoice(1, "us", "here")

    monkeypatch.setattr(operators, "_try", other_first)
    chosen = with_operators(spec).operators
    new_process()
    assert chosen == with_operators(spec).operators == OperatorChoice(8, "them", "here")


def test_a_choice_is_of_a_machine_a_model_a_dtype_and_threads(
    spec: HuggingFaceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = with_operators(spec)
    for changes in ({"dtype": "bf16"}, {"threads": 2}, {"without_layers": (1,)}):
        with_operators(msgspec.structs.replace(spec, **changes))
    other = save(FAMILIES["opt"](), tmp_path / "opt")
    with_operators(msgspec.structs.replace(spec, path=str(other)))
    assert len(tried) == 5
    other_numbers = FAMILIES["llama"]()
    other_numbers.model.embed_tokens.weight.data.mul_(2)
    again = save(other_numbers, tmp_path / "again")
    assert with_operators(HuggingFaceSpec(str(again), "same layout", threads=1)).operators == (
        first.operators
    )
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    with_operators(spec)
    assert len(tried) == 6
    monkeypatch.setattr(metadata, "version", lambda name: "9.9")
    with_operators(spec)
    assert len(tried) == 7
    monkeypatch.setattr(operators, "instruction_sets", lambda: "fpu sse2")
    with_operators(spec)
    assert len(tried) == 8


@pytest.mark.parametrize(
    "changes", [{"device": "cuda"}, {"device": "auto"}, {"dtype": "fp16"}], ids=str
)
def test_where_there_is_nothing_to_choose_nothing_is_tried(
    spec: HuggingFaceSpec, changes: dict[str, Any]
) -> None:
    there = msgspec.structs.replace(spec, **changes)
    assert with_operators(there) is there
    assert tried == []


def test_a_cache_that_cannot_be_written_lasts_as_long_as_the_process(
    spec: HuggingFaceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("/proc/nothing", str(tmp_path / "llama" / "config.json")):
        tried.clear()
        new_process()
        monkeypatch.setenv("TESTBED_CACHE", place)
        assert with_operators(spec) == with_operators(spec)
        assert len(tried) == 1


def test_a_damaged_cache_is_made_anew(spec: HuggingFaceSpec, tmp_path: Path) -> None:
    chosen = with_operators(spec)
    (file,) = (tmp_path / "cache" / "operators").iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:-3], b"[]"):
        file.write_bytes(damaged)
        new_process()
        assert with_operators(spec) != chosen
        assert list(file.parent.iterdir()) == [file]
    assert len(tried) == 4


def test_a_model_that_is_not_there_is_refused(spec: HuggingFaceSpec) -> None:
    Path(spec.path, "config.json").unlink()
    with pytest.raises(
        TestbedError, match=r"^model 'it' cannot be read: /.*/config\.json: No such"
    ):
        with_operators(spec)


# --- the process that tries -----------------------------------------------------------------------


@pytest.fixture
def real(spec: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch) -> HuggingFaceSpec:
    monkeypatch.setattr(operators, "_try", _TRY)
    return spec


_TRY = operators._try


def ends(monkeypatch: pytest.MonkeyPatch, code: int, errors: str = "") -> None:
    done = SimpleNamespace(returncode=code, stdout="", stderr=errors)
    monkeypatch.setattr(trials.subprocess, "run", lambda *_, **__: done)


@pytest.mark.slow
def test_a_trial_in_a_process_of_its_own(
    real: HuggingFaceSpec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = with_operators(real).operators
    assert chosen is not None
    assert chosen.machine == machine()
    assert capsys.readouterr().err == (
        "choosing the operators for it in fp32 on this machine, once\n"
    )
    ends(monkeypatch, 1)
    new_process()
    assert with_operators(real).operators == chosen


def test_an_operator_that_kills_the_process_is_left_alone(
    real: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(monkeypatch, -signal.SIGILL)
    chosen = with_operators(real).operators
    assert chosen is not None
    assert chosen.from_tokens is None
    assert chosen.why == "plain layers: the operator ends the process by SIGILL"


@pytest.mark.parametrize(
    ("code", "errors", "message"),
    [
        (1, "some noise\nerror: cannot load model 'it' from there\n", "cannot load model 'it' fro"),
        (3, "", "exit code 3"),
        (-signal.SIGKILL, "", "the trial of it in fp32 was ended by signal SIGKILL; run it again"),
        (
            -signal.SIGABRT,
            "what(): std::bad_alloc",
            "the trial of it in fp32 was ended by signal SIGABRT",
        ),
    ],
)
def test_a_trial_that_fails_is_an_error_and_not_cached(
    real: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch, code: int, errors: str, message: str
) -> None:
    ends(monkeypatch, code, errors)
    with pytest.raises(TestbedError, match=f"^{message}"):
        with_operators(real)
    assert trials._made == {}


def test_a_trial_must_find_room(real: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.models.memory.free_memory", lambda: 10)
    with pytest.raises(TestbedError, match=r"^the models need 0\.4 GB of memory"):
        with_operators(real)


# --- the machine ----------------------------------------------------------------------------------

_ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid asimdhp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

processor\t: 1
CPU part\t: 0xd05
"""


def test_an_arm_has_no_name_but_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(_ARM)
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment.platform, "machine", lambda: "aarch64")
    assert environment.processor() == (
        "aarch64, CPU implementer 0x41, CPU architecture 8, CPU variant 0x4, CPU part 0xd0b, "
        "CPU revision 1"
    )
    assert environment.instruction_sets() == "asimd asimdhp fp"
    assert machine().startswith("aarch64, CPU implementer 0x41, ")


def test_another_kernel_does_not_make_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    flags = "fpu sse sse2 ssse3 fma f16c avx2 avx512_bf16 amx_tile"
    seen = []
    for written in (f"{flags} rdpid", f"{flags} rdpid bus_lock_detect flush_l1d", flags[:-9]):
        (tmp_path / "cpuinfo").write_text(f"model name\t: a CPU\nflags\t\t: {written}\n")
        seen.append(machine())
    assert seen[0] == seen[1] != seen[2]


def test_a_choice_travels_as_json(spec: HuggingFaceSpec) -> None:
    chosen = with_operators(spec)
    encoded = msgspec.json.encode(chosen)
    assert msgspec.json.decode(encoded, type=HuggingFaceSpec) == chosen
    assert json.loads(encoded)["operators"]["from_tokens"] == 1
