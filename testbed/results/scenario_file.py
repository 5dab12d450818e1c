"""scenario.yaml of a results directory, written with copies of the files that it names.

The copies lie in `inputs/`, so that the results can be run again without the original files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.config.yaml_loader import dump_yaml
from testbed.files.whole_file import write_whole
from testbed.links.files import place_files
from testbed.models.compute.profiles import place_profiles

_PLACERS: dict[str, Callable[[Any, Callable[[str], str]], Any]] = {
    "links": place_files,
    "compute": place_profiles,
}
"""The function that replaces the paths of files in a section of a scenario."""


def write_scenario(folder: Path, scenario: dict[str, Any]) -> None:
    """Write scenario.yaml, as resolved, into a results directory, and copy the files it names."""

    def keep(path: str) -> str:
        return _keep(folder, path)

    scenario = {
        key: _PLACERS[key](value, keep) if key in _PLACERS else value
        for key, value in scenario.items()
    }
    if isinstance(scenario.get("sweep"), list):
        scenario["sweep"] = [
            {key: _keep_at(key, value, keep) for key, value in point.items()}
            for point in scenario["sweep"]
        ]
    write_whole(folder / "scenario.yaml", dump_yaml(scenario).encode())


def _keep_at(path: str, value: Any, keep: Callable[[str], str]) -> Any:
    """Return the value of a sweep at KEY.KEY, its files replaced by their copies."""
    section, *keys = path.split(".")
    if section not in _PLACERS:
        return value
    for key in reversed(keys):
        value = {key: value}
    value = _PLACERS[section](value, keep)
    for key in keys:
        value = value[key]
    return value


def _keep(folder: Path, path: str) -> str:
    """Copy a file into `inputs`; return the path of the copy within the results directory."""
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    content = Path(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]  # files of one name may differ
    copy = inputs / f"{digest}-{Path(path).name}"
    write_whole(copy, content)
    return str(copy.relative_to(folder))
