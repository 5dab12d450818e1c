"""Reading of the prompts that a scenario lists or takes from sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.config.convert import convert
from testbed.errors import TestbedError
from testbed.prompts.dataset import Dataset
from testbed.prompts.file import File
from testbed.prompts.human_eval import HumanEval
from testbed.prompts.source import Source

SOURCES: dict[str, type[Source]] = {"file": File, "human_eval": HumanEval, "dataset": Dataset}
"""Sources by the key that only they have."""


class PromptReader:
    """Reader of prompts that reads each source once for all points of a sweep."""

    def __init__(self, where: str) -> None:
        """Take the scenario's file, `where`; paths in it are relative to its folder."""
        self._where = where
        self._known: dict[tuple[Source, int], list[str]] = {}

    def read(self, prompts: Sequence[str | dict[str, Any]], seed: int) -> list[str]:
        """Return the prompts of all entries in order.

        Raises TestbedError when there is none, one is empty, or a source cannot be read.
        """
        if not prompts or any(isinstance(each, str) and not each.strip() for each in prompts):
            raise TestbedError(
                f"{self._where}: prompts: at least one is needed, and none may be empty"
            )
        texts: list[str] = []
        for i, entry in enumerate(prompts):
            if isinstance(entry, str):
                texts.append(entry)
            else:
                texts += self._texts(_source(entry, f"{self._where}: prompts[{i}]"), seed, i)
        return texts

    def _texts(self, source: Source, seed: int, i: int) -> list[str]:
        if (source, seed) not in self._known:
            try:
                texts = source.texts(Path(self._where).parent, seed)
            except TestbedError as error:
                raise TestbedError(f"{self._where}: prompts[{i}]: {error}") from None
            self._known[source, seed] = texts
        return self._known[source, seed]


def _source(entry: dict[str, Any], where: str) -> Source:
    kinds = [kind for key, kind in SOURCES.items() if key in entry]
    if len(kinds) != 1:
        raise TestbedError(f"{where}: a source has one of the keys {', '.join(SOURCES)}")
    return convert(entry, kinds[0], f"{where}.")
