"""Prompts from a data set of the Hugging Face hub; data alone, no code of its repository.

Versions of `datasets` before 4 could run such code; from 4 on none can.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import TestbedError
from testbed.prompts.source import PromptRecord, Source


class Dataset(Source, frozen=True, kw_only=True):
    """`dataset` is org/name; without `config` it is the set's default one."""

    dataset: str
    split: str
    config: str | None = None
    field: str = "prompt"

    @property
    def column(self) -> str:
        """See Source."""
        return self.field

    def rows(self, folder: Path) -> Iterator[PromptRecord]:
        """See Source. Downloaded whole, once; later runs need no network.

        Streaming would fetch less, but parquet files that are not read to their end make Python
        abort at exit (apache/arrow issue 45214, seen with pyarrow 26).
        """
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.dataset):
            raise TestbedError(f"'{self.dataset}' is no data set; write it as org/name")
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
            raise TestbedError(f"data set {self.dataset} cannot be had: {why}") from None
