"""Pages name only what the tree has: paths, modules, headings that links lead to, and floors."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

from tests.support.whole_run import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("", ".github", "testbed/docs")
    for path in (ROOT / folder).glob("*.md")
)
PATH = re.compile(r"(?<![\w./<-])(?:testbed|nodes|plots|topologies|scripts|tests)/[\w./*-]*[\w/*]")
MODULE = re.compile(r"python -m ((?:testbed|nodes|tests)[\w.]*)")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
BARE = re.compile(r"`(\w+\.py)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def missing(page: str, text: str) -> list[str]:
    """Return the paths and modules that a page names and the tree lacks."""
    folder = (ROOT / page).parent
    named = PATH.findall(text)
    lacks = [path for path in named if not any(ROOT.glob(path.rstrip("/")))]
    for module in MODULE.findall(text):
        file = ROOT / module.replace(".", "/")
        if not (file.with_suffix(".py").is_file() or (file / "__main__.py").is_file()):
            lacks.append(module)
    for target, heading in LINK.findall(text):
        file = folder / target if target else ROOT / page
        if not file.exists():
            lacks.append(target)
        elif heading and heading not in anchors(file.read_text()):
            lacks.append(f"{target}#{heading}")
    known = {path.name for name in ("testbed", "plots", "topologies") for path in files(name)}
    return lacks + [name for name in BARE.findall(text) if name not in known]


def files(folder: str) -> list:
    return list((ROOT / folder).rglob("*.py"))


def anchors(text: str) -> set[str]:
    """Return the anchors that a renderer of Markdown gives to the headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    assert missing(page, (ROOT / page).read_text()) == []


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("`testbed/decoding/nowhere.py`", "testbed/decoding/nowhere.py"),
        ("see testbed/nowhere/.", "testbed/nowhere/"),
        ("`testbed/decoding/*_nowhere.py`", "testbed/decoding/*_nowhere.py"),
        ("python -m nodes.nowhere --help", "nodes.nowhere"),
        ("[there](nowhere.md)", "nowhere.md"),
        ("[there](README.md#nowhere)", "README.md#nowhere"),
        ("`nowhere.py`", "nowhere.py"),
    ],
)
def test_what_is_not_there_is_found(text: str, lacks: str) -> None:
    assert missing("README.md", text) == [lacks]


def test_the_floors_are_those_of_the_contract() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    contract = config["importlinter:contract:floors"]["layers"].strip().splitlines()
    page = (ROOT / "testbed/docs/architecture.md").read_text()
    drawn = re.findall(r"^[\w ]+│ (.+)$", page, re.MULTILINE)
    assert [set(line.split()) for line in drawn] == [set(line.split(" | ")) for line in contract]


def test_each_room_has_a_sentence() -> None:
    page = (ROOT / "testbed/docs/architecture.md").read_text()
    table = page[: page.index("\n## ")]
    rooms = {path.parent.name for path in (ROOT / "testbed").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `testbed/(\w+)/`", table, re.MULTILINE)) == rooms
