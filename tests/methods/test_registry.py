"""Methods are found by their files; options are checked and say what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

import testbed.methods as package
from testbed.errors import TestbedError
from testbed.methods.base import method_class, methods, parse_options
from tests.support.options import refusal

NOT_METHODS = {"__init__", "base", "device_context", "effects", "full_upload", "verifier_context"}


def test_every_file_is_a_method_of_that_name():
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    found = methods()
    assert set(found) == files - NOT_METHODS >= {"cloud_ar", "device_only", "dsd", "dssd"}
    assert list(found) == sorted(found)
    for name, kind in found.items():
        assert kind.__module__ == f"testbed.methods.{name}"
        assert kind.name == name
        assert kind.summary
        assert "\n" not in kind.summary
        assert kind.paper


def test_a_new_file_is_all_that_a_new_method_needs(tmp_path, monkeypatch):
    (tmp_path / "echo.py").write_text(
        "from testbed.methods.device_only import DeviceOnly\n"
        "class Echo(DeviceOnly):\n"
        "    name = 'echo'\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert method_class("echo").name == "echo"
    assert set(methods()) > {"echo", "dsd", "device_only"}


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(TestbedError) as caught:
        method_class("dsdd", "a.yaml: methods[1]")
    known = ", ".join(methods())
    assert str(caught.value) == f"a.yaml: methods[1]: 'dsdd' is not a method; choose from {known}"


BAD = [
    ("dsd", {"gamma": 4}, "x.gamma: unknown key; allowed are draft_length, precision, target_"),
    ("dssd", {"Draft_length": 4}, "x.Draft_length: unknown key; allowed are draft_length, prec"),
    ("device_only", {"draft_length": 4}, "x.draft_length: unknown key; allowed are none"),
    ("cloud_ar", {"precision": "fixed16"}, "x.precision: unknown key; allowed are none"),
    ("dsd", {"draft_length": 0}, "x.draft_length: 0: expected `int` >= 1"),
    ("dssd", {"draft_length": -3}, "x.draft_length: -3: expected `int` >= 1"),
    ("dsd", {"draft_length": "4"}, "x.draft_length: '4': expected `int | mapping`, got `str`"),
    ("dsd", {"draft_length": 4.5}, "x.draft_length: 4.5: expected `int | mapping`, got `float`"),
    ("dssd", {"draft_length": True}, "x.draft_length: True: expected `int | mapping`, got `bool`"),
    ("dssd", {"draft_length": None}, "x.draft_length: expected `int | mapping`, got `null`"),
    ("dsd", {"precision": "fixed8"}, "x.precision: 'fixed8': choose from fixed16, fixed32"),
    ("dsd", {"precision": "exact"}, "x.precision: 'exact': choose from fixed16, fixed32"),
    (
        "dsd",
        {"target_precision": "none"},
        "x.target_precision: 'none': choose from fixed16, fixed32, bf16, fp16, fp32, exact",
    ),
    ("dssd", {"target_precision": "exact"}, "x.target_precision: 'exact': choose from fixed16, f"),
    ("dssd", {"precision": "fp16"}, "x.precision: 'fp16': choose from fixed16, fixed32"),
    (
        "dsd",
        {"draft_length": {"policy": "longer"}},
        "x.draft_length.policy: 'longer': choose from bit_budget,",
    ),
    ("dsd", {"draft_length": {"bits": 5}}, "x.draft_length.policy: this key is missing"),
    (
        "dsd",
        {"draft_length": {"policy": "bit_budget", "bits": 0}},
        "x.draft_length.bits: 0: expected `int` >= 1",
    ),
    ("dssd", {"precision": 16}, "x.precision: 16: expected `str`, got `int`"),
]


@pytest.mark.parametrize(("method", "options", "message"), BAD)
def test_bad_options_are_refused_in_one_sentence_that_says_what_is_allowed(
    method, options, message
):
    assert refusal(method, options).startswith(message)


def test_options_have_defaults():
    options = parse_options(method_class("dsd"), {"draft_length": 7}, "x")
    assert (options.draft_length, options.precision) == (7, "fixed16")
    assert options.target_precision == "exact"
