"""Checks before `testbed run --resume` continues an interrupted run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from testbed.errors import TestbedError
from testbed.host.environment import describe_environment, processor
from testbed.models.cpu.operators import machine
from testbed.models.spec import GgufSpec
from testbed.output.terminal import say
from testbed.results.directory import Results
from testbed.results.journal import JOURNAL, Began, Discarded, append, read
from testbed.results.old_keys import INHERITED_TCP
from testbed.results.plan import Plan, operator_choices
from testbed.results.verdict import worst


def sessions(results: Results) -> list[Began]:
    """Return the starts of all sessions. Raises TestbedError if the results cannot be resumed.

    Commit, Python and packages must be those of the first session, because all generations of a
    comparison have to come from one program. A change of kernel or processor is only warned of.
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
            say(f"warning: it was begun with {key} {then.get(key)}, and this is {now[key]}")
    if str(now["commit"]).endswith("-dirty"):
        say("warning: files of the testbed differ from its commit, perhaps not as they did then")
    return began


def require_same_operators(results: Results, plans: Iterable[Plan]) -> None:
    """Raise TestbedError unless this machine rounds like the one that began the run.

    The plans name the operators that were chosen there; this machine must have the same.
    """
    for name, choice in operator_choices(plans).items():
        if choice.machine != (here := machine()):
            raise TestbedError(
                f"--resume {results.path}: {name} was begun with {choice.why} on {choice.machine}, "
                f"and this is {here}, which rounds otherwise; resume it there, or run the scenario "
                "anew"
            )


def require_same_processor(results: Results, then: Any, plans: Iterable[Plan]) -> None:
    """Raise TestbedError for GGUF files that were begun on `then`, another processor than this.

    llama.cpp has other kernels for other processors.
    """
    here = processor()
    for spec in (spec for plan in plans for spec in (plan.target, plan.draft)):
        if isinstance(spec, GgufSpec) and then != here:
            raise TestbedError(
                f"--resume {results.path}: '{spec.name}' was begun on {then}, and this is {here}, "
                "where llama.cpp may round otherwise; resume it there, or run the scenario anew"
            )


def require_known_tcp(results: Results) -> None:
    """Raise TestbedError for results of a testbed whose hosts inherited TCP from the machine.

    Hosts now have the settings of the scenario, so that runs done now would be of another TCP.
    """
    if results.scenario()["tcp"] == INHERITED_TCP:
        raise TestbedError(
            f"--resume {results.path}: its scenario.yaml lacks tcp.congestion_control, which hosts "
            "inherited from the machine then; run the scenario anew"
        )


def discard_doubtful(results: Results, session: int) -> None:
    """Discard every run that is not valid, so that this session repeats it.

    A run is valid if its own verdict and those of its generations and its network are.
    """
    for run, verdict in results.judged():
        level = worst([verdict.level, *(row.verdict for row in run.rows)])
        if level != "valid":
            record = Discarded(session=session, point=run.point, turn=run.turn, level=level)
            append(results.path, record)


def _versions(then: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each part that results depend on: name, version in the first session, version now."""
    yield "commit", then.get("commit"), now["commit"]
    yield "Python", then.get("python"), now["python"]
    packages = then.get("packages")
    for name, version in now["packages"].items():
        yield name, packages.get(name) if isinstance(packages, dict) else None, version
