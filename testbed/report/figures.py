"""The figures of the page, as SVG, each in an address of its own so that none disturbs another."""

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
"""What most readers look for; the others follow."""
_WIDTH = re.compile(rb'<svg[^>]*? width="([\d.]+)pt"')
_PIXELS = 96 / 72


class Drawing(NamedTuple):
    """A figure, and what it shows in words; without an address it could not be drawn, and why."""

    name: str
    about: str
    width: int = 0
    """In CSS pixels."""
    uri: str = ""
    why_not: str = ""


def draw_figures(results: Results) -> Iterator[Drawing]:
    """Every figure that the results have something to show in."""
    note = dilation_text(results.summary().rows)
    others = [name for name in plots.names() if name not in _FIRST]
    for name in (*_FIRST, *others):
        about = " ".join(plots.about(name).split())
        try:
            files = plots.render(results, name, ("svg",), note)
        except TestbedError as error:  # something that it needs is not there any more
            yield Drawing(name, about, why_not=str(error))
            continue
        for svg in files.values():
            width = _WIDTH.search(svg)
            assert width
            encoded = base64.b64encode(svg).decode()
            uri = f"data:image/svg+xml;base64,{encoded}"
            yield Drawing(name, about, round(float(width[1]) * _PIXELS), uri)
