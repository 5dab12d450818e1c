"""Bounds of the numbers of a scenario, and of the lengths of its lists.

Generous: what lies beyond them is a slip or an attack, and would end in a machine without memory or
in a check that never ends. Each is checked before anything starts, where its key's type is read.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

MOST_POINTS = 10_000
"""Points of a sweep."""
MOST_TEXTS = 10_000_000
"""Texts of a whole scenario: at every point, of every method, repetition, device and prompt."""
MOST_MOMENTS = 200_000
"""Moments at which one link changes: steps of its ramps, ends of its outages, rows of its trace."""
MOST_PACKETS = 1_000_000_000
"""Packets in a queue, or in a burst of losses."""
MOST_PROMPTS = 100_000
MOST_METHODS = 1000
MOST_LAYERS = 10_000
LONGEST_NAME = 100
"""Letters of a name or label, which becomes a part of file names."""
LARGEST_VOCABULARY = 1 << 20
"""Of synthetic models."""
MOST_TOKENS = 1 << 24
"""In the vocabulary of a model with weights."""
LARGEST_SCENARIO = 8 << 20
"""Bytes of a scenario; more prompts than fit go into a file of their own."""
LARGEST_FILE = 256 << 20
"""Bytes of a file that a scenario names: a trace, prompts, a profile."""
DEEPEST = 50
"""Levels of mappings and lists in one another in a YAML text."""
MOST_REPEATED = 10_000_000
"""Values that the aliases of a YAML text stand for."""

Name: TypeAlias = Annotated[str, Meta(max_length=LONGEST_NAME)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Seed: TypeAlias = Int64
Vocabulary: TypeAlias = Annotated[int, Meta(ge=2, le=LARGEST_VOCABULARY)]
TopK: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_VOCABULARY)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=1000)]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 20)]
"""New tokens of a text."""
Devices: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Repetitions: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Rows: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_PROMPTS)]
"""Prompts that are taken from a file or a data set."""
Threads: TypeAlias = Annotated[int, Meta(ge=1, le=4096)]
Layer: TypeAlias = Annotated[int, Meta(ge=0, lt=MOST_LAYERS)]
Factor: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]
"""Of a policy, which weighs one thing against another."""
