"""Prompts from a data set of the Hugging Face hub; no code of its repository is run.

`datasets` could run such code before version 4, and cannot since.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from testbed.errors import TestbedError
from testbed.prompts.source import PromptRecord, Source


class Dataset(Source, frozen=True, kw_only=True):
    """A data set `dataset`, written org/name; without `config`, in its default configuration."""

    dataset: str
    """The data set on the Hugging Face hub, e.g. openai/gsm8k."""
    split: str
    """The split of the data set, e.g. test."""
    config: str | None = None
    """The configuration of the data set, e.g. main; by default its default one."""
    field: str = "prompt"
    """The field of a row that holds the prompt, e.g. question; turns.0 is the first of `turns`."""

    @property
    @override
    def column(self) -> str:
        return self.field

    @override
    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        # The whole set is downloaded once; later runs need no network. Streaming would download
        # less, but parquet files that are not read to their end make Python abort at exit
        # (apache/arrow issue 45214, seen with pyarrow 26).
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.dataset):
            raise TestbedError(f"'{self.dataset}' is not a data set; write it as org/name")
        try:
            import datasets  # noqa: PLC0415  optional

            version = int(datasets.__version__.split(".")[0])
        except ImportError:
            version = 0
        if version < 4:
            raise TestbedError(
                "Hugging Face data sets need the package datasets, version 4 or newer; "
                f"{sys.executable} -m pip install 'datasets>=4' does that"
            )
        try:
            found = datasets.load_dataset(self.dataset, self.config, split=self.split)
            for number, fields in enumerate(found):
                yield f"{self.dataset}, {self.split}, row {number}", fields
        except Exception as error:  # network, hub and format errors of several libraries
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise TestbedError(f"data set {self.dataset} cannot be loaded: {why}") from None
