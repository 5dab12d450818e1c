"""Every number of a scenario has two limits, and values beyond them are refused at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from msgspec import inspect

from testbed import bounds
from testbed.errors import TestbedError
from testbed.links import schedule
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec
from testbed.methods.base import methods
from testbed.prompts.reader import SOURCES
from testbed.scenario.load import check_scenario, load_scenario
from testbed.scenario.schema import Directions, ScenarioSpec
from tests.scenario.test_load import BASE, changed

WRITTEN = [
    ScenarioSpec,
    Directions,
    *SOURCES.values(),
    *(method.Options for method in methods().values()),
]
"""All types that parts of a scenario are converted to."""


def numbers(kind: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    """Yield every number below a type, with its key."""
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        yield path, kind
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from numbers(each, path)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from numbers(field.type, f"{path}.{field.name}")
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from numbers(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from numbers(kind.value_type, f"{path}.*")


NUMBERS = [found for kind in WRITTEN for found in numbers(inspect.type_info(kind), kind.__name__)]


def test_all_numbers_are_found():
    keys = {path for path, _ in NUMBERS}
    assert {
        "ScenarioSpec.repeat", "ScenarioSpec.decoding.temperature",
        "ScenarioSpec.models.target.threads", "ScenarioSpec.models.synthetic.acceptance[]",
        "File.sample", "QsOptions.lattice[]",
        "TsltTreeOptions.branches[]", "DsdOptions.draft_length.exploration",
    } <= keys  # fmt: skip


@pytest.mark.parametrize(("path", "kind"), NUMBERS, ids=[path for path, _ in NUMBERS])
def test_every_number_has_a_lower_and_an_upper_bound(path, kind):
    assert kind.ge is not None or kind.gt is not None
    assert kind.le is not None or kind.lt is not None


FULL = {
    **BASE,
    "links": {
        "radio": {
            "up": {"rate": "5mbit", "delay": "20ms", "loss": {"mean": "1%", "burst": 3}},
            "down": {"queue": {"limit": "100packets", "discipline": "codel"}, "jitter": "0"},
            "changes": [
                {"at": "1s", "over": "2s", "up": {"rate": "2mbit"}},
                {"at": "5s", "flap": {"down": "1s", "up": "1s", "times": 3}},
                {"at": "20s", "outage": "1s"},
            ],
        }
    },
    "methods": [
        "dssd",
        {"method": "dsd", "label": "ucb", "draft_length": {"policy": "ucb", "exploration": 0.2}},
        {"method": "tslt_tree", "branches": [2, 2], "top_k": 5},
        {"method": "qs", "lattice": [60, 120], "draft_length": {"policy": "qs_model", "first": 2}},
    ],
    "decoding": {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "max_new_tokens": 8},
    "energy": {"per_drafted_token": "80mJ", "per_bit": "1nJ"},
    "compute": {"draft": {"per_pass": "1ms", "per_token": "1ms"}},
    "devices": 1, "repeat": 2, "seed": 3, "time_dilation": 1, "timeout": "5s",
    "sweep": {"decoding.temperature": [0.5, 1]},
}  # fmt: skip
ODD = [
    None, True, -1, 0, 0.5, 10**9, 10**12, -(10**30), 10**400, 1e300, float("nan"), float("inf"),
    "", "x" * 300, "9" * 5000 + "s", "1000000000s", "1000000000gbit", "\0", "é",
    [], [1] * 3, [[[]]], {}, {"a": {"b": []}}, {1: 2}, date(2026, 1, 1),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value within another."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


def test_a_scenario_with_any_odd_value_is_refused_in_a_sentence_or_taken():
    refused = 0
    for number, path in enumerate(places(FULL)):
        for odd in ODD[number % 2 :: 2]:
            raw = copy.deepcopy(FULL)
            place: Any = raw
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = odd
            try:
                check_scenario(raw, "s.yaml")
            except TestbedError as error:
                refused += 1
                assert str(error).startswith("s.yaml: "), (path, odd)
    assert refused > 300


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        ("repeat", 10**9, "repeat: 1000000000: expected `int` <= 10000"),
        ("devices", 10**6, "devices: 1000000: expected `int` <= 1000"),
        ("models.synthetic.vocabulary_size", 10**12,
         "models.synthetic.vocabulary_size: 1000000000000: expected `int` <= 1048576"),
        ("decoding", {"max_new_tokens": 10**9},
         "decoding.max_new_tokens: 1000000000: expected `int` <= 1048576"),
        ("name", "x" * 101,
         "name: 'xxxxxxxxxxxx...xxxxxxxxxxxxx': expected `str` of length <= 100"),
        ("methods", [{"method": "dsd", "label": "x" * 260}],
         "methods[0].label: 'xxxxxxxxxxxx...xxxxxxxxxxxxx': expected `str` of length <= 100"),
        ("methods", ["dsd"] * 1001, "methods: ['dsd', 'dsd', 'dsd', 'dsd', 'dsd', 'dsd', ...]: "
         "expected `list` of length <= 1000"),
        ("links.radio.up.queue", "9999999999packets", "links.radio.up.queue: '9999999999' is not a "
         "number of packets; it must be 1 to 1000000000"),
        ("links.radio.changes",
         [{"at": "1s", "flap": {"down": "1ms", "up": "1ms", "times": 10**9}}],
         "links.radio.changes[0].flap.times: '1000000000' is not a number of outages; it must be 1 "
         "to 100000"),
        ("links.radio.changes", [{"at": "1s", "over": "4001s", "up": {"rate": "1mbit"}}],
         "links.radio: it changes at 200,050 moments; at most 200,000 are allowed, and a ramp has "
         "50 a second"),
        ("sweep", {f"prompts.{n}": [str(m) for m in range(100)] for n in range(3)},
         "sweep: it has 1,000,000 points; at most 10,000 are allowed"),
        ("sweep", [{"seed": n} for n in range(10_001)],
         "sweep: it has 10,001 points; at most 10,000 are allowed"),
        ("sweep", [{".".join("x" * 51): 1}],
         f"sweep.{'.'.join('x' * 51)}: a key has 51 parts; at most 50 are allowed"),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_with_file_key_value_and_what_is_allowed(place, value, error):
    with pytest.raises(TestbedError) as caught:
        check_scenario(changed(place, value), "s.yaml")
    assert str(caught.value) == f"s.yaml: {error}"


def test_all_generations_together_are_bounded():
    raw = {**BASE, "repeat": 10_000, "prompts": ["one"] * 501}
    with pytest.raises(TestbedError, match=r"^s.yaml: it has 10,020,000 generations, all points"):
        check_scenario(raw, "s.yaml")


def test_a_link_that_changes_very_often_is_compiled_in_one_go(monkeypatch):
    compared = 0

    def counted(intervals, time):
        nonlocal compared
        compared += 1
        return within(intervals, time)

    within = schedule._within
    monkeypatch.setattr(schedule, "_within", counted)
    flap = {"down": "10ms", "up": "10ms", "times": 5000}
    ramps = [
        {"at": f"{200 + n}s", "over": "1s", "up": {"rate": f"{n + 1}mbit"}} for n in range(200)
    ]
    changes = [{"at": "1s", "flap": flap}, *ramps]
    found = read_schedule(Duplex(LinkSpec(rate=1e6), LinkSpec()), "run", changes, {}, "x").moments
    assert len(found) == 2 * 5000 + 200 * 50
    assert compared == 2 * len(found)
    assert [moment.up.loss for moment in found[:4]] == [1.0, 0.0, 1.0, 0.0]
    assert found[-1].up.rate == 200e6


DEEP = "x: " + "[" * 20_000
CYCLES = ("links: &a {radio: *a}", "prompts: &a [*a]")
BOMB = "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (DEEP, "line 1: it is nested more than 50 levels deep"),
        ("".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]\n" for n in range(99)),
         "line 49: it is nested more than 50 levels deep"),
        *((text, "line 1: *a stands within itself") for text in CYCLES),
        (f"a: &a [{', '.join('1' * 10)}]\n{BOMB}",
         "line 7: aliases stand for more than 10,000,000 values"),
        ("seed: " + "1" * 5000, "line 1: it cannot be read as int"),
        ("seed: 2026-02-30", "line 1: 2026-02-30 is a date in YAML; write it in quotes"),
        ("seed: !!bool maybe", "line 1: it cannot be read as bool"),
    ],
)  # fmt: skip
def test_yaml_that_nobody_can_read_is_refused_with_its_line(tmp_path, text, error):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(TestbedError) as caught:
        load_scenario(path)
    assert str(caught.value) == f"{path}: {error}"


def test_a_scenario_has_a_size_and_may_come_through_a_pipe():
    with pytest.raises(TestbedError, match=r"^/dev/zero: cannot be read: it is larger than 8,388,"):
        load_scenario("/dev/zero")
    into, out = os.pipe()
    os.write(out, b"3")
    os.close(out)
    with pytest.raises(TestbedError, match="a scenario is a mapping of keys to values"):
        load_scenario(f"/dev/fd/{into}")
    os.close(into)


@pytest.mark.parametrize("what", ["fifo", "device", "folder", "large", "loop", "nul"])
@pytest.mark.parametrize("place", ["mahimahi", "loss", "jitter", "trace", "prompts", "profile"])
def test_a_file_that_a_scenario_names_is_a_regular_one(tmp_path, place, what):
    path = tmp_path / "file.yaml"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "loop":
        path.symlink_to(path)
    elif what == "large":
        path.touch()
        os.truncate(path, bounds.LARGEST_FILE + 1)  # takes no room
    name = {"device": "/dev/zero", "folder": str(tmp_path) + "/", "nul": "a/\0.yaml"}.get(
        what, path
    )
    value, key = {
        "mahimahi": ({"mahimahi": str(name)}, "links.radio.up.rate"),
        "loss": ({"trace": str(name)}, "links.radio.up.loss"),
        "jitter": ({"file": str(name)}, "links.radio.up.jitter"),
        "trace": (str(name), "links.radio.up.trace"),
        "prompts": ([{"file": str(name)}], "prompts"),
        "profile": ({"draft": {"profile": str(name)}}, "compute"),
    }[place]
    with pytest.raises(TestbedError, match=r"^s\.yaml: .*: cannot be read: ") as caught:
        check_scenario(changed(key, value), "s.yaml")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("key", ["mahimahi", "loss", "jitter", "trace"])
def test_the_first_line_of_a_file_that_is_no_trace_is_not_shown(tmp_path, key):
    path = tmp_path / "environ"
    path.write_text("TOKEN=secret\0HOME=/root")
    value = {"mahimahi": {"mahimahi": str(path)}, "loss": {"trace": str(path)},
             "jitter": {"file": str(path)}, "trace": str(path)}[key]  # fmt: skip
    place = {"mahimahi": "rate"}.get(key, key)
    with pytest.raises(TestbedError, match="line 1: ") as caught:
        check_scenario(changed(f"links.radio.up.{place}", value), "s.yaml")
    assert "secret" not in str(caught.value)
