"""One figure per file, drawn from a results directory.

A module with `draw(results) -> Figure | None` is a figure of the module's name, and its docstring
is the caption. None means that the results lack the data of the figure. Invalid generations are
never drawn.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from testbed.analysis.aggregate import dilation_text
from testbed.analysis.generations import counting
from testbed.analysis.validity import simulated_note
from testbed.errors import TestbedError
from testbed.files.whole_file import write_whole
from testbed.host.font_cache import keep_fonts
from testbed.results.directory import Results

FIRST = ("speed", "timeline", "traffic", "sweep", "winners")
"""The figures drawn at the end of a run; the others take at least as long again."""
_NO_GLYPH = r"Glyph \d+ |Matplotlib currently does not support"


def draw_all(results: Results, among: Sequence[str] | None = None) -> Iterator[Path]:
    """Draw every figure as PNG and PDF into `figures/` of the results; yield the paths.

    With `among`, draw only the figures of these names.
    """
    note = dilation_text(results.summary().rows)
    for name in among or names():
        yield from draw(results, name, note)


def draw(results: Results, name: str, note: str = "") -> Iterator[Path]:
    """Draw one figure as PNG and PDF, if the results have its data; yield the paths.

    `note` is written below the figure. Raises TestbedError when a file cannot be written.
    """
    folder = results.path / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise TestbedError(f"{folder}: cannot be written: {error.strerror}") from None
    for kind, content in render(results, name, ("png", "pdf"), note).items():
        path = folder / f"{name}.{kind}"
        write_whole(path, content)
        yield path


def nothing_to_draw(results: Results) -> str:
    """Return the reason why these results have no figure."""
    rows = results.summary().rows
    if not rows:
        return "nothing to draw: no run has ended"
    if not counting(rows):
        return f"nothing to draw: all {len(rows)} generations are invalid"
    return "nothing to draw: the sweep has more points than a figure has room for"


def names() -> list[str]:
    """Return the names of all modules of this package, figures and others."""
    return [info.name for info in pkgutil.iter_modules(__path__)]


def about(name: str) -> str:
    """Return the caption of a figure."""
    return (importlib.import_module(f"plots.{name}").__doc__ or "").strip()


def render(results: Results, name: str, kinds: Sequence[str], note: str = "") -> dict[str, bytes]:
    """Return one figure as files of these kinds; empty when the results lack its data.

    Below it stand `note` and, where the results are simulated, that they are, and in which range
    simulation was validated.
    """
    keep_fonts()
    import matplotlib as mpl  # noqa: PLC0415  asks for its folder at once

    mpl.use("agg")
    from plots import style  # noqa: PLC0415  after the backend is chosen

    module = importlib.import_module(f"plots.{name}")
    if not hasattr(module, "draw"):
        return {}
    with style.applied():
        figure = module.draw(results)
        if figure is None:
            return {}
        for line in (simulated_note(results), note):
            if line:
                style.add_note(figure, style.wrapped(figure, line))
        style.without_markup(figure)
        files = {kind: BytesIO() for kind in kinds}
        with warnings.catch_warnings():
            # Characters of a prompt that the font lacks are drawn as boxes.
            warnings.filterwarnings("ignore", _NO_GLYPH, UserWarning)
            for kind, file in files.items():
                figure.savefig(file, format=kind)
    return {kind: file.getvalue() for kind, file in files.items()}
