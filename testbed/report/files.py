"""The files of a results directory beside its rows; any of them may be missing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

from testbed.files.stored_json import read
from testbed.results.directory import Results
from testbed.results.verdict import Verdict

_LARGEST = 1_000_000
"""The largest file that is put into the page, in bytes."""


class File(NamedTuple):
    """A file of the results that can be saved from the page; `content` is None if too large."""

    name: str
    size: int
    content: bytes | None

    @property
    def uri(self) -> str:
        """The whole file as a data URI."""
        encoded = base64.b64encode(self.content or b"").decode()
        return f"data:application/octet-stream;base64,{encoded}"

    @property
    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 are replaced."""
        return (self.content or b"").decode(errors="replace")


def scenario_of(results: Results) -> dict[str, Any]:
    """Read scenario.yaml; empty without one."""
    return results.scenario() if (results.path / "scenario.yaml").is_file() else {}


def verdict_of(results: Results) -> Verdict | None:
    """Read verdict.json; None if the run was stopped before it was written."""
    return results.verdict() if (results.path / "verdict.json").is_file() else None


def environment_of(results: Results) -> dict[str, Any]:
    """Read environment.json; empty without one."""
    found = _json(results.path / "environment.json")
    return found if isinstance(found, dict) else {}


def plans_of(results: Results) -> list[dict[str, Any]]:
    """Read plan.json, a plan for each point of the sweep; empty without one."""
    found = _json(results.path / "plan.json")
    return [plan for plan in found if isinstance(plan, dict)] if isinstance(found, list) else []


def scenario_file(results: Results) -> File | None:
    """Return scenario.yaml as a file; None without one."""
    path = results.path / "scenario.yaml"
    return _file(path, results.path) if path.is_file() else None


def input_files(results: Results) -> list[File]:
    """Return the copies of the files that scenario.yaml names."""
    return [
        _file(path, results.path)
        for path in sorted(results.path.glob("inputs/*"))
        if path.is_file()
    ]


def _file(path: Path, parent: Path) -> File:
    size = path.stat().st_size
    content = path.read_bytes() if size <= _LARGEST else None
    return File(str(path.relative_to(parent)), size, content)


def _json(path: Path) -> Any:
    return read(path, object) if path.is_file() else None
