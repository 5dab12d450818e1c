"""The wheel, built from the source distribution, works without the tree that it was made from.

It is installed alone into an empty environment, which borrows the dependencies of this one: a
`.pth` file adds them to its path, without running their own, so that an editable testbed stays out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from testbed.models.store.catalog import DEFAULT_DRAFT
from tests.support.whole_run import ROOT, only_busy, write

pytestmark = pytest.mark.slow
PACKAGES = ("nodes", "plots", "testbed", "topologies")
FOR_README = "plots/examples/"
"""Figures that README shows; no code reads them."""

# Run in the installed environment: what code reads beside its modules, by the paths that it takes.
READ_BY_CODE = f"""
import numpy as np
import plots
from importlib.resources import files
from jinja2 import Environment, PackageLoader
from testbed.drafting.qs_dqn import WEIGHTS
from testbed.emulation.sandbox import SCRATCH
from testbed.models.packed_draft import unpack
from testbed.models.store.shipped import DATA

assert unpack(DATA / "{DEFAULT_DRAFT}.safetensors").weights
assert np.load(WEIGHTS).files
assert SCRATCH.is_dir()
assert {{"speed", "traffic", "winners"}} <= set(plots.names())
for name in ("page.css", "page.html.jinja", "page.js"):
    assert PackageLoader("testbed.report", ".").get_source(Environment(), name)
for script in ("guest_mounts.sh", "guest_shell.sh", "guest_wire.sh", "guest_xstate.c"):
    assert (SCRATCH.parent / script).is_file()
for page in (
    "architecture.md", "glossary.md", "served_targets.md", "verdicts.md", "virtual_time.md"
):
    assert (files("testbed.docs") / page).is_file()
"""


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Return the files of this tree that git would commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("which files belong to the testbed is read from git, and this is no checkout")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def build(kind: str, tree: Path, into: Path) -> Path:
    code = f"from setuptools import build_meta as b; b.build_{kind}({str(into)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for name in tracked:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, unpacked)
    (tree,) = unpacked.iterdir()
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a new environment; return its folder of programs."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=True)
    python = home / "bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
        env=outside(),
        check=True,
    )
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def outside() -> dict[str, str]:
    """Return environment variables that lead to nothing in this tree."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(
    installed: Path, folder: Path, program: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed / program, *arguments],
        cwd=folder,
        env=outside(),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_source_distribution_is_the_whole_repository(sdist: Path, tracked: list[str]) -> None:
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    assert {name for name in names if not name.startswith(("PKG-INFO", "testbed.egg-info/"))} == {
        *tracked
    }


def test_the_wheel_has_every_file_of_the_packages_and_no_other(
    wheel: Path, tracked: list[str]
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {name for name in tracked if name.startswith(tuple(f"{p}/" for p in PACKAGES))}
    assert {name for name in names if ".dist-info/" not in name} == {
        name for name in ours if not name.startswith(FOR_README)
    }


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("testbed --version", "testbed 0."),
        ("testbed methods", "dssd_lean"),
        ("testbed topologies", "three_tier"),
        ("testbed profiles", "lte_good"),
        ("testbed models", DEFAULT_DRAFT),
        ("python -m nodes.device --help", "--connect"),
        ("python -c", ""),
    ],
)
def test_it_works_in_an_empty_folder(
    installed: Path, tmp_path: Path, line: str, printed: str
) -> None:
    code = (READ_BY_CODE,) if line == "python -c" else ()
    done = run(installed, tmp_path, *line.split(), *code)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_it_is_the_installed_one_that_works(installed: Path, tmp_path: Path) -> None:
    code = "import nodes, plots, testbed, topologies as t; print(*t.__path__, testbed.__file__)"
    done = run(installed, tmp_path, "python", "-c", code)
    assert str(ROOT) not in done.stdout
    assert str(installed.parent) in done.stdout


@pytest.mark.emulation
def test_a_scenario_runs_and_is_reported(installed: Path, tmp_path: Path) -> None:
    scenario = write(tmp_path, methods=["dssd"], repeat=1, backend="relay")
    done = run(installed, tmp_path, "testbed", "run", str(scenario), "--out", "out")
    assert done.returncode == 0 or only_busy(scenario), done.stdout + done.stderr
    (results,) = (tmp_path / "out").iterdir()
    done = run(installed, tmp_path, "testbed", "report", str(results))
    assert done.returncode == 0, done.stderr
    assert (results / "report.html").is_file()
