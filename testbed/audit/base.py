"""Checks: each can make results suspect or invalid, and says when, why and what helps."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from testbed.audit.evidence import GenerationEvidence, NetworkEvidence, RunEvidence
from testbed.config.by_file import find_named
from testbed.results.verdict import Verdict


class AuditCheck(ABC):
    """A condition on results; a violation lowers the verdict.

    A subclass in a module of its own in testbed.audit.checks is found by its file; nothing else has
    to be registered. It derives from the class below for the evidence it needs.
    """

    name: ClassVar[str]
    level: ClassVar[Literal["suspect", "invalid"]]
    """The verdict on a violation."""
    limit: ClassVar[str]
    """The bound within which results are valid, with its number."""
    remedy: ClassVar[str]
    """The step to take so that the check passes."""
    judged: ClassVar[str]
    """The subject and the moment of the judgement."""
    simulated: ClassVar[bool] = True
    """False for a check of evidence that only emulation gives; simulated runs do without it."""


class NetworkCheck(AuditCheck):
    """A check on the links as they were measured; holds for all runs on that network."""

    judged = "a network, before its first run"

    @abstractmethod
    def judge(self, evidence: NetworkEvidence) -> Iterable[str]:
        """Yield the reasons, one for each fault."""


class GenerationCheck(AuditCheck):
    """A check on one generation."""

    judged = "a generation, when it has ended"

    @abstractmethod
    def judge(self, evidence: GenerationEvidence) -> Iterable[str]:
        """Yield the reasons, one for each fault."""


class RunCheck(AuditCheck):
    """A check on a run as a whole."""

    judged = "a run, when it has ended"

    @abstractmethod
    def judge(self, evidence: RunEvidence) -> Iterable[str]:
        """Yield the reasons, one for each fault; each begins with the run's folder."""


class ResultsCheck(AuditCheck):
    """A check that testbed.results makes from the journal; only listed here."""

    judged = "the results, when they are concluded"


Evidence = NetworkEvidence | GenerationEvidence | RunEvidence
_KINDS: dict[type[Evidence], type[Any]] = {
    NetworkEvidence: NetworkCheck,
    GenerationEvidence: GenerationCheck,
    RunEvidence: RunCheck,
}


@functools.cache
def checks() -> tuple[type[AuditCheck], ...]:
    """Return every check: those that make results invalid, then the others, each by name.

    They are found once, so that all runs of a process are judged alike. Raises TypeError for one
    that would never be made, as it is of none of the four kinds.
    """
    found = find_named("testbed.audit.checks", AuditCheck)
    for check in found.values():
        if not issubclass(check, (*_KINDS.values(), ResultsCheck)):
            raise TypeError(f"{check.__module__}.{check.__name__} does not say what it judges")
    return tuple(sorted(found.values(), key=lambda check: (check.level, check.name)))


def judge(evidence: Evidence, *, simulated: bool = False) -> Verdict:
    """Make all checks on this kind of evidence; return the verdict with all reasons.

    A simulated run is judged by the checks that are meant for it alone.
    """
    verdict = Verdict()
    kind = _KINDS[type(evidence)]
    found: list[type[Any]] = [
        check
        for check in checks()
        if issubclass(check, kind) and (check.simulated or not simulated)
    ]
    for check in found:
        for reason in check().judge(evidence):
            verdict.add(check.level, reason)
    return verdict
