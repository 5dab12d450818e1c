"""Evidence of sound runs, for tests to spoil."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from testbed.audit.cpu_samples import CpuSample, CpuUse
from testbed.audit.evidence import GenerationEvidence, RunEvidence
from testbed.counts import DraftCounts, Traffic
from testbed.protocol.control import Result


def generation_evidence(**changes: Any) -> GenerationEvidence:
    """Return a generation on a quiet machine without links; `changes` replace parts of it."""
    sample = CpuSample(time=0.0, waited={}, others=0.0, stolen=0.0, processors=2)
    sound = {
        "device": "device1", "alone": True, "result": result(), "answers": [], "paced": [],
        "links": [], "cells": [], "cpu": CpuUse(sample, sample),
    }  # fmt: skip
    return GenerationEvidence(**{**sound, **changes})


def run_evidence(**changes: Any) -> RunEvidence:
    """Return a run without captures, logs and changes; `changes` replace parts of it."""
    sound = {
        "folder": "dsd-0", "packet_logs": [], "changes": {}, "handovers": [], "captured": {},
        "counted": [], "ledger": [], "first_links": {"radio"},
    }  # fmt: skip
    return RunEvidence(**{**sound, **changes})


def result(down_bytes: int = 0, resends: int = 0) -> Result:
    """Return the report of a device that received so many bytes."""
    traffic = replace(Traffic.zero(), down_bytes=down_bytes, resends=resends)
    return Result([], "", [], 0.0, DraftCounts.zero(), traffic)
