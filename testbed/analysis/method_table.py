"""A table with a line for each method, of the generations that count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from typing_extensions import override

from testbed.analysis.generations import Sample
from testbed.output.text_table import Column, Table
from testbed.results.rows import Row
from testbed.scenario.simulated import SIMULATED

NONE = "–"
"""The cell of a value that is not known or does not apply."""


def header_of_n(samples: Iterable[Sample]) -> str:
    """Return the header of the column of n, by the backend of the generations."""
    return f"n {SIMULATED}" if any(sample.simulated for sample in samples) else "n"


class MethodTable(Table):
    """A table whose lines begin with the method, with the marks of `Sample.star`, and its n.

    n is the number of generations that count, out of all; its header says whether they are
    simulated.
    """

    def __init__(
        self, samples: Sequence[Sample], *columns: str | Column, first: str | Column = "method"
    ) -> None:
        super().__init__(header_of_n(samples), *columns, first=first)
        self._samples = {sample.method: sample for sample in samples}

    def methods(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield each method that has generations that count, with these; the caller adds its row.

        A method without any gets an empty line and a note that says why.
        """
        for method, sample in self._samples.items():
            if sample.rows:
                yield method, sample.rows
            else:
                verdict = [column.header == "verdict" for column in self.columns[2:]]
                self.add_row(method, *("invalid" if each else NONE for each in verdict))
                self.notes.append(f"{method}: {sample.why_empty}")

    @override
    def add_row(self, *cells: str) -> None:
        """Add a line from a method and its cells; its n is put between them."""
        method, *others = cells
        sample = self._samples[method]
        super().add_row(method + sample.star, sample.n.replace(" of ", "/"), *others)
