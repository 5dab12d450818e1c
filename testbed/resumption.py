"""Whether a run that was interrupted may go on here and now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.environment import describe_environment
from testbed.errors import TestbedError
from testbed.journal import JOURNAL, Began, read
from testbed.results import Results


def sessions(results: Results) -> list[Began]:
    """How its sessions began. Raises TestbedError if the results cannot be resumed.

    The same testbed and packages must do the rest, for the texts of one comparison have to be the
    texts of one program. Results of a machine that has become another one are warned of.
    """
    if not (results.path / JOURNAL).exists():
        raise TestbedError(
            f"--resume {results.path}: it has no {JOURNAL}, which older testbeds did not write; "
            "run the scenario anew"
        )
    began = [record for record in read(results.path) if isinstance(record, Began)]
    if not began:
        raise TestbedError(
            f"--resume {results.path}: nothing had begun there; run the scenario anew"
        )
    then, now = began[0].environment, describe_environment()
    for what, before, after in _versions(then, now):
        if before != after:
            raise TestbedError(
                f"--resume {results.path}: it was begun with {what} {before}, and this is {after}; "
                "go back to that, or run the scenario anew"
            )
    for key in ("kernel", "processor"):
        if then.get(key) != now[key]:
            print(f"warning: it was begun with {key} {then.get(key)}, and this is {now[key]}")
    if str(now["commit"]).endswith("-dirty"):
        print("warning: files of the testbed differ from its commit, perhaps not as they did then")
    return began


def _versions(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What texts and measurements depend on, its version then, and now."""
    yield "commit", then.get("commit"), now["commit"]
    yield "Python", then.get("python"), now["python"]
    for name, version in now["packages"].items():
        yield name, then.get("packages", {}).get(name), version
