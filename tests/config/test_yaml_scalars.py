"""Words and numbers of YAML without quotes: those read, those refused, those written in quotes."""

from __future__ import annotations

import pytest

from testbed.config.yaml_loader import apply_change, dump_yaml, parse_yaml
from testbed.errors import TestbedError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000), ("1E+3", 1000), ("-1.5e2", -150), ("1.5e-4", 1.5e-4), ("1e-4", 1e-4),
        (".5", 0.5), (".5e1", 5), ("1.", 1.0), ("5.e-1", 0.5), ("-.5", -0.5), ("1e300", 1e300),
        ("0", 0), ("-0", 0), ("0.5", 0.5), ("+7", 7), ("0x10", 16), ("10", 10), ("3.0", 3.0),
        ("true", True), ("False", False), ("null", None), ("", None),
        ("1e3m", "1e3m"), ("e3", "e3"), ("1e", "1e"), ("y", "y"), ("10ms", "10ms"),
        ("a:30", "a:30"), ("2mbit", "2mbit"), ("_1", "_1"), ("~/models/x", "~/models/x"),
        ("off-peak", "off-peak"), ("1.2.3", "1.2.3"), ("::1", "::1"),
        ("'010'", "010"), ("'1:30'", "1:30"), ('"yes"', "yes"), ("'~'", "~"), ("'1e3'", "1e3"),
        ("|-\n  010", "010"),
    ],
)  # fmt: skip
def test_what_is_read(text, value):
    found = parse_yaml(text, "x")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("010", "octal"), ("08", "octal"), ("-007", "octal"), ("0o10", "octal"), ("00", "octal"),
        ("1:30", "base 60"), ("190:20:30", "base 60"), ("1:30.5", "base 60"), ("-1:30", "base 60"),
        ("1_000", "underscores"), ("1_0.5", "underscores"), ("1_0e3", "underscores"),
        *((word, "a truth value or a word") for word in ("yes", "No", "ON", "off")),
        ("~", "stands for nothing"), (".inf", "not a finite"), ("-.Inf", "not a finite"),
        (".nan", "not a finite"), ("1e999", "not a finite"), ("-1e999", "not a finite"),
        ("2026-11-30", "is a date"), ("2026-11-30 12:00:00", "is a date"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["{}", "a: {}", "[1, {}]", "{}: 1", "a: &b {}"])
def test_what_may_be_meant_in_two_ways_is_refused_by_name(text, why, form):
    with pytest.raises(TestbedError) as refused:
        parse_yaml(form.format(text), "x")
    assert str(refused.value).startswith(f"x: line 1: {text} ")
    assert why in str(refused.value)
    assert "quotes" in str(refused.value)


def test_a_change_on_the_command_line_is_read_by_the_same_rules():
    raw = {"seed": 0}
    apply_change(raw, "seed=1e3")
    assert raw == {"seed": 1000}
    with pytest.raises(TestbedError, match="--set seed=010: line 1: 010 may be octal"):
        apply_change(raw, "seed=010")


@pytest.mark.parametrize(
    "text",
    ["010", "08", "0o10", "1:30", "1_000", "yes", "Off", "~", ".inf", ".NaN", "1e3", "1E-3", ".5e1",
     "5.e-1", "2026-11-30", "null", "true", "1", "1.5", "", "=", "<<", "a\x85b", "- x", "0x10",
     "0b1", "1e999"],
)  # fmt: skip
def test_a_text_is_written_so_that_it_is_read_back_as_a_text(text):
    assert parse_yaml(dump_yaml({"a": [text], text: 1}), "x") == {"a": [text], text: 1}


@pytest.mark.parametrize("value", [0, -8, 1e-7, 1e22, 1e16, 123456789.5, 2**63 - 1, 1e300, 0.1])
def test_a_number_is_written_so_that_it_is_read_back(value):
    assert parse_yaml(dump_yaml([value]), "x") == [value]
