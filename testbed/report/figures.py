"""The figures of the page as SVG, each in a data URI so that their ids and styles cannot clash."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import NamedTuple

import plots
from testbed.analysis.aggregate import dilation_text
from testbed.errors import TestbedError
from testbed.results.directory import Results

_FIRST = ("winners", "sweep", "speed", "where", "traffic")
"""The figures that come first; the others follow by name."""
_WIDTH = re.compile(rb'<svg[^>]*? width="([\d.]+)pt"')
_PIXELS = 96 / 72


class Drawing(NamedTuple):
    """A figure and its caption; if it could not be drawn, `why_not` is the reason."""

    name: str
    about: str
    """Caption of the figure."""
    width: int = 0
    """Width in CSS pixels."""
    uri: str = ""
    """Data URI of the SVG; empty if it could not be drawn."""
    why_not: str = ""


def draw_figures(results: Results) -> Iterator[Drawing]:
    """Yield every figure for which the results have data."""
    note = dilation_text(results.summary().rows)
    others = [name for name in plots.names() if name not in _FIRST]
    for name in (*_FIRST, *others):
        about = " ".join(plots.about(name).split())
        try:
            files = plots.render(results, name, ("svg",), note)
        except TestbedError as error:  # a file that it needs was removed
            yield Drawing(name, about, why_not=str(error))
            continue
        for svg in files.values():
            width = _WIDTH.search(svg)
            assert width
            encoded = base64.b64encode(svg).decode()
            uri = f"data:image/svg+xml;base64,{encoded}"
            yield Drawing(name, about, round(float(width[1]) * _PIXELS), uri)
