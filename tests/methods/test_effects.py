"""Halves of methods say what they need, and nothing of theirs lasts over that."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import testbed.methods
from testbed.errors import TestbedError
from testbed.methods.dsd import Dsd
from testbed.methods.effects import Answer, NextPart, Send
from tests.support.toy import decode_locally, models, task, with_method

FILES = sorted(Path(testbed.methods.__file__).parent.glob("*.py"))
CLOCKS = {"time", "datetime", "testbed.clock"}
DRAFT, TARGET = models(8)


def scopes(tree: ast.AST):
    """Yield each node with what encloses it in its function."""
    waiting = [(tree, ())]
    while waiting:
        node, around = waiting.pop()
        yield node, around
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            around = ()
        waiting += [(each, (*around, node)) for each in ast.iter_child_nodes(node)]


def faults(source: str) -> list[str]:
    """Return what lasts over a yield, or reads a clock."""
    found = []
    for node, around in scopes(ast.parse(source)):
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            if any(isinstance(each, (ast.With, ast.AsyncWith)) for each in around):
                found.append(f"line {node.lineno}: a yield inside of a with")
            if any(isinstance(each, ast.Try) and each.finalbody for each in around):
                found.append(f"line {node.lineno}: a yield inside of a try with finally")
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        found += [f"line {node.lineno}: {name} is imported" for name in names if name in CLOCKS]
        if isinstance(node, ast.Attribute) and node.attr in ("now", "now_ns"):
            found.append(f"line {node.lineno}: a clock is read")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_span_lock_or_clock_reading_lasts_over_a_yield(path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f(d):\n with d.encoding():\n  yield 1",
        "def f(d):\n with d.encoding():\n  if d:\n   x = yield from d.answer()",
        "def f(d):\n try:\n  yield 1\n finally:\n  d.end()",
        "from testbed import clock",
        "from time import monotonic",
        "import time",
        "def f(c):\n start = c.now_ns()",
    ],
)
def test_what_lasts_over_a_yield_is_found(source):
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(d):\n with d.encoding():\n  d.write()\n yield 1",
        "def f(d):\n with d.encoding():\n  def g():\n   yield 1",
    ],
)
def test_what_does_not_last_is_allowed(source):
    assert not faults(source)


class Ahead(Dsd):
    """Sends the next round before the answer to the last is there."""

    name = "ahead"

    def device(self, device):
        for _ in range(2):
            drafts = yield from device.propose(self.quantise, 1.0)
            yield from device.send(self.codec.encode(drafts), len(drafts))


class Greedy(Dsd):
    """Waits for more than the whole answer."""

    name = "greedy"

    def device(self, device):
        drafts = yield from device.propose(self.quantise, 1.0)
        yield from device.ask(self.codec.encode(drafts), len(drafts))
        yield NextPart()


class Impatient(Dsd):
    """Waits for the answer to nothing."""

    name = "impatient"

    def device(self, device):
        yield NextPart()


class WrongEnd(Dsd):
    """Answers on the device."""

    name = "wrong_end"

    def device(self, device):
        yield Answer(self.codec.encode([]))


class WrongOtherEnd(Dsd):
    """Sends rounds from the verifier."""

    name = "wrong_other_end"

    def verifier(self, verifier, drafts, upload):
        yield Send(self.codec.encode([]), 0)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (Ahead, "round 0 is not answered yet"),
        (Greedy, "round 0 is answered already"),
        (Impatient, "round -1 is answered already"),
        (WrongEnd, "a device half cannot have Answer"),
    ],
)
def test_effects_out_of_order_are_a_mistake_of_the_method(method, error):
    with with_method(method), pytest.raises(AssertionError, match=error):
        decode_locally(task(method.name, 20), DRAFT, TARGET)


def test_a_verifier_half_that_sends_rounds_is_refused(capsys):
    with with_method(WrongOtherEnd), pytest.raises(TestbedError, match="internal error, Assertion"):
        decode_locally(task("wrong_other_end", 20), DRAFT, TARGET)
    assert "a verifier half cannot have Send" in capsys.readouterr().err
