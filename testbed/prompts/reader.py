"""From what a scenario says of prompts to their texts."""

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
"""By the key that each has and no other one has."""


class PromptReader:
    """Reads each source once, however many points of a sweep ask for it."""

    def __init__(self, where: str) -> None:
        """`where` is the scenario's file, beside which others are looked for."""
        self._where = where
        self._known: dict[tuple[Source, int], list[str]] = {}

    def read(self, prompts: Sequence[str | dict[str, Any]], seed: int) -> list[str]:
        """The texts of all entries, in their order. Raises TestbedError."""
        if not prompts or any(isinstance(each, str) and not each.strip() for each in prompts):
            raise TestbedError(
                f"{self._where}: prompts: at least one, and none of them empty, is needed"
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
