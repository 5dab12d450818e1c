"""Limits of the numbers in a scenario and of the lengths of its lists.

They are generous. A value beyond them is a mistake or an attack: it would exhaust the memory, or
make a check run forever. Each limit is part of its key's type, and so is checked when the scenario
is read, before anything starts.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

MOST_POINTS = 10_000
"""Points of a sweep."""
MOST_GENERATIONS = 10_000_000
"""Generations of a scenario: points × methods × repetitions × devices × prompts."""
MOST_MOMENTS = 200_000
"""Changes of one link: steps of its ramps, ends of its outages, rows of its trace."""
MOST_PACKETS = 1_000_000_000
"""Packets in a queue, or in a burst of losses."""
MOST_PROMPTS = 100_000
MOST_METHODS = 1000
MOST_LAYERS = 10_000
LONGEST_NAME = 100
"""Characters of a name or label, which becomes part of file names."""
LARGEST_VOCABULARY = 1 << 20
"""V of a synthetic model."""
MOST_TOKENS = 1 << 24
"""V of a model with weights."""
LARGEST_SCENARIO = 8 << 20
"""Bytes of a scenario; larger sets of prompts go into a file of their own."""
LARGEST_FILE = 256 << 20
"""Bytes of a file that a scenario names: a trace, prompts, a profile."""
DEEPEST = 50
"""Depth of nested mappings and lists in a YAML text."""
MOST_REPEATED = 10_000_000
"""Values in a YAML text after its aliases are expanded."""

Name: TypeAlias = Annotated[str, Meta(max_length=LONGEST_NAME)]
CongestionControl: TypeAlias = Annotated[
    str, Meta(pattern="^[a-z0-9_-]+$", max_length=15)  # TCP_CA_NAME_MAX of Linux, less its end
]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Seed: TypeAlias = Int64
Vocabulary: TypeAlias = Annotated[int, Meta(ge=2, le=LARGEST_VOCABULARY)]
TopK: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_VOCABULARY)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=1000)]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 20)]
"""New tokens of a generation."""
Devices: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Repetitions: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Rows: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_PROMPTS)]
"""Prompts taken from a file or a data set."""
Threads: TypeAlias = Annotated[int, Meta(ge=1, le=4096)]
Layer: TypeAlias = Annotated[int, Meta(ge=0, lt=MOST_LAYERS)]
Factor: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]
"""Weight in a policy."""
