from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from testbed.errors import TestbedError
from testbed.models import memory, weights
from testbed.models.memory import Load, require_memory, require_room
from testbed.models.spec import HuggingFaceSpec, OperatorChoice

GB = 1_000_000_000
M = 100_000_000


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HuggingFaceSpec:
    """Return a model of 100 million numbers; 2 GB are free, and 0.3 and 0.5 GB on two GPUs."""
    save_file({"a": np.zeros(10, np.float32)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(weights, "read_weights", lambda path, name: Huge())
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * GB)
    monkeypatch.setattr(memory, "free_gpu_memory", lambda: [3 * GB // 10, GB // 2])
    return HuggingFaceSpec(str(tmp_path), "big", operators=OperatorChoice(None, "", ""))


class Huge:
    largest = 0

    def size(self, bytes_per_float: int) -> int:
        return 100_000_000 * bytes_per_float


def with_options(spec: HuggingFaceSpec, **options: object) -> HuggingFaceSpec:
    return msgspec.structs.replace(spec, **options)


def test_both_nodes_together_must_fit(spec: HuggingFaceSpec) -> None:
    """Each node takes 0.4 GB of weights in fp32 and 0.4 GB for its process."""
    require_memory([Load(spec, 1), Load(spec, 1)])
    with pytest.raises(
        TestbedError,
        match=r"^the models need 2\.4 GB of memory \(big in fp32, 0\.4 GB; 2 times big in fp32, "
        r"0\.8 GB; 0\.4 GB for each process\), but 2\.0 GB are free; take smaller ones, or bf16$",
    ):
        require_memory([Load(spec, 1), Load(spec, 2)])
    half = with_options(spec, dtype="bf16")
    require_memory([Load(half, 1), Load(half, 2)])


def test_on_a_cpu_the_largest_matrix_is_there_twice(
    spec: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Huge, "largest", 30_000_000)
    assert Load(spec, 2).size == 2 * 130_000_000 * 4
    assert Load(with_options(spec, device="cuda"), 2).size == 2 * 100_000_000 * 4


def choice(from_tokens: int | None) -> OperatorChoice:
    return OperatorChoice(from_tokens, "", "")


def test_matrices_are_there_twice_where_both_operators_are_used(spec: HuggingFaceSpec) -> None:
    def size(**options: object) -> int:
        return Load(with_options(spec, **options), 1).size

    assert [size(operators=choice(tokens)) for tokens in (None, 1, 2)] == [4 * M, 4 * M, 8 * M]
    assert size(operators=choice(2), dtype="bf16") == 4 * M
    assert size(device="cuda") == 4 * M


def test_a_trial_needs_the_layers_that_it_takes_twice(
    spec: HuggingFaceSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = with_options(spec, operators=None)
    assert Load(spec, 1).size == 8 * M
    assert Load(with_options(spec, dtype="fp16"), 1).size == 2 * M  # for it there is no trial
    monkeypatch.setattr(weights, "MOST_TRIED", M)
    assert Load(spec, 1).size == 5 * M


def test_weights_on_a_gpu_need_no_host_memory(spec: HuggingFaceSpec) -> None:
    on_second = with_options(spec, device="cuda:1")
    require_memory([Load(on_second, 1), Load(spec, 2)])  # 3 processes, 2 times the weights
    with pytest.raises(TestbedError, match=r"need 0\.8 GB of GPU 1 .* 0\.5 GB are free"):
        require_memory([Load(on_second, 2)])
    with pytest.raises(TestbedError, match=r"need 0\.4 GB of GPU 0 .* 0\.3 GB are free"):
        require_memory([Load(with_options(spec, device="cuda"), 1)])
    with pytest.raises(TestbedError, match=r"run on cuda:2, .* cpu, auto, cuda:0, cuda:1$"):
        require_memory([Load(with_options(spec, device="cuda:2"), 1)])
    with pytest.raises(
        TestbedError, match=r"'big' is to run on cuda:1 in int8, which is for the CPU"
    ):
        require_memory([Load(with_options(spec, device="cuda:1", dtype="int8"), 1)])


def test_auto_counts_all_there_is_and_what_others_take_of_it(spec: HuggingFaceSpec) -> None:
    auto = with_options(spec, device="auto")  # 2.8 GB in all
    require_memory([Load(auto, 3)])
    with pytest.raises(
        TestbedError, match=r"need 3\.2 GB of GPU 0 and GPU 1 and memory .* but 2\.8 GB are free"
    ):
        require_memory([Load(auto, 3), Load(spec, 1)])


def test_room(spec: HuggingFaceSpec) -> None:
    require_room(GB, "Converting it")
    with pytest.raises(TestbedError, match=r"^Converting it needs 2\.4 GB .* 2\.0 GB are free$"):
        require_room(2 * GB, "Converting it")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the files of a machine with 8 GB available and without control groups."""
    (tmp_path / "meminfo").write_text("MemFree: 9 kB\nMemAvailable:  8000000 kB\n")
    (tmp_path / "cgroup").write_text("0::/user.slice/mine\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    return tmp_path


def group(path: Path, version: int, limit: str, usage: int, cache: int) -> None:
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    path.mkdir(parents=True, exist_ok=True)
    (path / names[0]).write_text(f"{limit}\n")
    (path / names[1]).write_text(f"{usage}\n")
    (path / "memory.stat").write_text(f"anon 5\n{names[2]} {cache}\n")


def test_free_memory_without_limits(machine: Path) -> None:
    assert memory.free_memory() == 8_192_000_000
    group(machine / "groups" / "user.slice" / "mine", 2, "max", 5, 0)
    assert memory.free_memory() == 8_192_000_000


def test_the_tightest_of_the_groups_around_us_counts(machine: Path) -> None:
    group(machine / "groups" / "user.slice" / "mine", 2, str(7 * GB), GB, 0)
    group(machine / "groups" / "user.slice", 2, str(6 * GB), 3 * GB, 2 * GB)
    assert memory.free_memory() == 5 * GB  # caches are given back
    group(machine / "groups", 2, str(GB), 2 * GB, 0)
    assert memory.free_memory() == 0


def test_groups_of_version_1(machine: Path) -> None:
    (machine / "cgroup").write_text("5:cpu:/x\n4:hugetlb,memory:/docker/1\n")
    group(machine / "groups" / "memory" / "docker" / "1", 1, str(4 * GB), GB, 0)
    assert memory.free_memory() == 3 * GB
    (machine / "groups" / "memory" / "docker" / "1" / "memory.stat").unlink()
    assert memory.free_memory() == 8_192_000_000


def test_a_system_that_does_not_say_how_much_is_free_refuses_no_model(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "none")
    assert memory.free_memory() > 2**60
