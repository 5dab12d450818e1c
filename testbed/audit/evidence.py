"""Everything that checks judge: counters, events, captures and logs of runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from testbed.audit.capture_evidence import CapturedDirection, Entry, GenerationCounters
from testbed.audit.cpu_samples import CpuUse
from testbed.audit.link_packets import LinkPackets, SharedLinkPackets
from testbed.events import Event
from testbed.links.schedule_cursor import Applied
from testbed.models.compute.pace import Pace
from testbed.protocol.control import Result
from testbed.results.link_check import Check


@dataclass(frozen=True)
class NetworkEvidence:
    """The links of a network, measured before its first run."""

    links: Sequence[Check]


class PacedNode(NamedTuple):
    """A node whose compute is paced, and its events of one generation."""

    name: str
    events: Sequence[Event]
    pace: Pace


@dataclass(frozen=True, kw_only=True)
class GenerationEvidence:
    """One generation; devices that decode at the same time share links and processors."""

    device: str
    alone: bool
    """True where no other device shares its link."""
    result: Result
    answers: Sequence[Event]
    """The verifier's events."""
    paced: Sequence[PacedNode]
    links: Sequence[LinkPackets]
    cells: Sequence[SharedLinkPackets]
    cpu: CpuUse | None
    """None of a simulated generation, which takes no real time."""


@dataclass(frozen=True, kw_only=True)
class RunEvidence:
    """One run, all its prompts together."""

    folder: str
    """The name of its folder."""
    packet_logs: Sequence[Path]
    changes: Mapping[str, Sequence[Applied]]
    """By link."""
    handovers: Sequence[Applied]
    captured: Mapping[str, Mapping[str, CapturedDirection]]
    """By link and direction; empty where nothing was captured."""
    counted: Sequence[GenerationCounters]
    """Of each prompt."""
    ledger: Sequence[Entry]
    """The uses of all captured bytes."""
    first_links: Collection[str]
    """The links at the devices: each message crosses exactly one of them."""

    def prompt(self, number: int) -> str:
        """Return the beginning of reasons about a prompt."""
        return f"{self.folder} prompt {number + 1}"
