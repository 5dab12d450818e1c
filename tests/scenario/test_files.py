"""Scenario files: mistakes in YAML itself, --set and --methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.scenario.load import load_scenario

TEXT = """\
name: base
topology: edge
verifier: base_station
links:
  radio:
    up: {rate: 5mbit}
models:
  synthetic: {vocabulary_size: 100, acceptance: 0.8}
methods: [dsd, dssd]
prompts: [one]
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "s.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def refusal(path: Path, *arguments) -> str:
    with pytest.raises(TestbedError) as caught:
        load_scenario(path, *arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path, write):
    assert (
        refusal(tmp_path / "x.yaml") == f"{tmp_path}/x.yaml: cannot be read: No such file or dire"
        "ctory"
    )
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    path = write(TEXT.encode("utf-16"))
    assert refusal(path) == f"{path}: cannot be read: it is not UTF-8 text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a scenario is a mapping of keys to values"),
        ("# nothing\n", "a scenario is a mapping of keys to values"),
        ("- name: base\n", "a scenario is a mapping of keys to values"),
        (TEXT + "seed: [1\n", "line 12: expected ',' or ']', but got '<stream end>'"),
        (TEXT + "  seed: 1\n", "line 11: "),
        (TEXT + "\tseed: 1\n", "line 11: found character '\\t' that cannot start any token"),
        (TEXT + "seed: a: b\n", "line 11: mapping values are not allowed here"),
        (TEXT + "seed: *x\n", "line 11: found undefined alias 'x'"),
        (TEXT + "seed: !!python/name:os.system\n", "line 11: could not determine a constructor"),
        (TEXT + "? [a]\n: 1\n", "line 11: found unhashable key"),
        (TEXT + "---\n" + TEXT, "line 11: but found another document"),
        (TEXT + "seed: \0\n", "unacceptable character #x0000"),
        (TEXT + "name: again\n", "line 11: key 'name' is given twice"),
        (
            TEXT.replace("{rate: 5mbit}", "{rate: 5mbit, rate: 6mbit}"),
            "line 6: key 'rate' is given",
        ),
        (TEXT.replace("[one]", r'["\ud83d"]'), "line 10: half a surrogate pair is not a character"),
    ],
)
def test_yaml_that_makes_no_scenario_is_named_with_its_line(write, text, message):
    path = write(text)
    assert refusal(path).startswith(f"{path}: {message}")


def test_json_with_its_escapes_for_emoji_is_yaml(write):
    path = write(TEXT.replace("[one]", r'["\ud83d\ude00 \u00e9"]'))
    assert load_scenario(path).prompts == ["\U0001f600 é"]


def test_merge_keys_and_anchors_work(write):
    path = write(
        TEXT.replace("up: {rate: 5mbit}", "up: &up {rate: 5mbit, delay: 1ms}\n"
                     "    down: {<<: *up, rate: 7mbit}")
    )  # fmt: skip
    down = load_scenario(path).links["radio"].down
    assert (down.rate, down.delay) == (7e6, 0.001)


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("links.radio.up.rate=2mbit", ("links", "radio", "up", "rate"), "2mbit"),
        ("links.radio.down.delay=3ms", ("links", "radio", "down", "delay"), "3ms"),
        ("methods.0.draft_length=6", ("methods", 0, "draft_length"), 6),
        ("methods.1=cloud_ar", ("methods", 1, "method"), "cloud_ar"),
        ("prompts=[a, b]", ("prompts",), ["a", "b"]),
        ("prompts.0=k=v", ("prompts", 0), "k=v"),
        ("decoding.temperature=0", ("decoding", "temperature"), 0),
        ("seed=-3", ("seed",), -3),
    ],
)
def test_set_replaces_one_value(write, change, key, value):
    place = load_scenario(write(TEXT), [change]).to_mapping()
    for step in key:
        place = place[step]
    assert place == value


def test_later_changes_win(write):
    assert load_scenario(write(TEXT), ["seed=1", "seed=2"]).spec.seed == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "--set seed: write it as KEY.KEY=VALUE"),
        ("=3", "--set =3: write it as KEY.KEY=VALUE"),
        ("links..up=3", "--set links..up=3: write it as KEY.KEY=VALUE"),
        (
            "methods.2=dsd",
            "--set methods.2=dsd: '2' is not an entry of methods, which has 2, counted",
        ),
        ("methods.-1=dsd", "--set methods.-1=dsd: '-1' is not an entry of methods, which has 2"),
        ("methods.x.y=3", "--set methods.x.y=3: 'x' is not an entry of methods, which has 2"),
        ("methods.²=dsd", "--set methods.²=dsd: '²' is not an entry of methods, which has 2"),
        ("name.x=3", "--set name.x=3: 'name' has no keys of its own"),
        ("seed={", "--set seed={: line 1: expected the node content, but found '<stream end>'"),
        ("seed=a: b: c", "--set seed=a: b: c: line 1: mapping values are not allowed here"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(write, change, message):
    assert refusal(write(TEXT), [change]).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("colour=3", "colour: unknown key; allowed are name, topology"),
        ("colour.x=3", "colour: unknown key; allowed are name, topology"),
        ("decoding.colour=3", "decoding.colour: unknown key; allowed are temperature"),
        ("methods.0.gamma=3", "methods[0].gamma: unknown key; allowed are draft_length"),
        ("repeat=0", "repeat: 0: expected `int` >= 1"),
        ("seed=", "seed: expected `int`, got `null`"),
    ],
)
def test_a_changed_scenario_is_checked_like_any_other(write, change, message):
    path = write(TEXT)
    assert refusal(path, [change]).startswith(f"{path}: {message}")


def test_methods_keeps_those_named_in_the_order_of_the_file(write):
    scenario = load_scenario(write(TEXT), [], ["dssd", "dsd"])
    assert [entry.label for entry in scenario.methods] == ["dsd", "dssd"]
    scenario = load_scenario(write(TEXT), [], ["dssd"])
    assert [entry.label for entry in scenario.methods] == ["dssd"]
    assert [entry["label"] for entry in scenario.to_mapping()["methods"]] == ["dssd"]


@pytest.mark.parametrize("label", ["dsdd", ""])
def test_methods_of_an_unknown_label_lists_the_known_ones(write, label):
    path = write(TEXT)
    message = refusal(path, [], ["dsd", label])
    assert message == f"--methods: '{label}' is not in {path}; it has dsd, dssd"
