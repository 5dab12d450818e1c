"""Docstrings open with what a thing is or does, and error messages end without a period."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.whole_run import ROOT

FOLDERS = ("nodes", "plots", "scripts", "testbed", "topologies")
QUESTION = re.compile(r"(What|Whether|How|Where|Why|Who|Which)\b")
REFERENCE = re.compile(r"See \S+")


def faults(source: str) -> Iterator[str]:
    """Yield each docstring and error message of a module that breaks a rule, with its line."""
    for node in ast.walk(ast.parse(source)):
        # Strings by themselves: docstrings, and those that document the name above them.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = str(node.value.value)
            if QUESTION.match(text) or REFERENCE.fullmatch(text):
                yield f"{node.lineno}: {text.splitlines()[0]}"
        elif isinstance(node, ast.Call) and (end := ending(node)).endswith("."):
            yield f"{node.lineno}: {end}"


def ending(call: ast.Call) -> str:
    """Return the literal end of a TestbedError's first argument; empty where a value ends it."""
    raised = isinstance(call.func, ast.Name) and call.func.id == "TestbedError"
    last = call.args[0] if raised and call.args else None
    if isinstance(last, ast.JoinedStr):
        last = last.values[-1]
    literal = isinstance(last, ast.Constant) and isinstance(last.value, str)
    return last.value if literal else ""


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_state_and_errors_end_without_a_period(folder):
    found = [
        f"{path.relative_to(ROOT)}:{fault}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for fault in faults(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What a link does."""',
        'class A:\n    """Which one."""',
        'def f():\n    """Whether it is on,\n\n    or off."""',
        'LIMIT = 3\n"""How many."""',
        'async def f():\n    """See Codec.quantise."""',
        'raise TestbedError("it is empty.")',
        'raise TestbedError(f"{path}: it " "is empty.") from None',
        'raise TestbedError(f"{a}" if a else "none") if b else TestbedError(f"{a} is no number.")',
    ],
)
def test_a_fault_is_found(source):
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Whatever a link drops."""',
        'def f():\n    """See the module for why.\n\n    It returns None."""',
        "def f():\n    pass",
        'raise TestbedError(f"{path}: {error}")',
        "raise TestbedError(reason)",
        'print("It is done.")',
    ],
)
def test_what_is_allowed_passes(source):
    assert not list(faults(source))
