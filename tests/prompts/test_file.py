"""Prompts from JSONL files: choice and order of rows, and errors of a file."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed.prompts.source import Source
from testbed.scenario.load import check_scenario, load_scenario
from tests.prompts.scenario import refusal, texts
from tests.scenario.test_load import BASE
from tests.support.whole_run import results, run, write

TEN = [f"prompt {number}" for number in range(10)]


@pytest.fixture
def folder(tmp_path):
    lines = [json.dumps({"id": i, "prompt": text}) for i, text in enumerate(TEN)]
    (tmp_path / "ten.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_a_file_gives_all_its_prompts_or_the_first(folder):
    assert texts(folder, {"file": "ten.jsonl"}) == TEN
    assert texts(folder, {"file": "ten.jsonl", "first": 3}) == TEN[:3]
    assert texts(folder, {"file": str(folder / "ten.jsonl"), "first": 10}) == TEN


def test_texts_and_sources_stand_in_their_order(folder):
    (folder / "sub").mkdir()
    (folder / "sub/other.jsonl").write_text('{"question": "why?"}\n')
    other = {"file": "sub/../sub/other.jsonl", "field": "question"}
    assert texts(folder, "a", {"file": "ten.jsonl", "first": 1}, other, "b") == [
        "a", "prompt 0", "why?", "b",
    ]  # fmt: skip


def test_a_field_may_be_inside_of_another(folder):
    (folder / "turns.jsonl").write_text('{"turns": ["one", "two"], "x": {"y": "three"}}\n')
    for field, text in (("turns.0", "one"), ("turns.1", "two"), ("x.y", "three")):
        assert texts(folder, {"file": "turns.jsonl", "field": field}) == [text]


def test_a_sample_depends_on_the_seed_alone_and_keeps_the_order(folder):
    some = {"file": "ten.jsonl", "sample": 4}
    drawn = texts(folder, some, seed=1)
    assert drawn == texts(folder, some, seed=1) == sorted(drawn)
    assert len(set(drawn)) == 4
    assert len({tuple(texts(folder, some, seed=seed)) for seed in range(-5, 5)}) > 5
    assert set(drawn) < set(texts(folder, {**some, "sample": 5}, seed=1))
    assert texts(folder, {**some, "sample": 10}) == TEN


def test_a_sample_takes_every_prompt_equally_often(folder):
    """Each of ten rows is expected 1200 times in 4000 samples of 3; standard deviation 29."""

    class Ten(Source, frozen=True):
        column = "prompt"

        def rows(self, folder):
            return ((text, {"prompt": text}) for text in TEN)

    counts = dict.fromkeys(TEN, 0)
    for seed in range(4000):
        for text in Ten(sample=3).texts(folder, seed):
            counts[text] += 1
    assert sum(counts.values()) == 12000
    assert max(abs(count - 1200) for count in counts.values()) < 5 * 29


@given(st.lists(st.text().filter(str.strip), min_size=1))
def test_any_text_comes_through(tmp_path_factory, any_texts):
    """They include the characters that end a line in Python but not in JSON."""
    folder = tmp_path_factory.mktemp("any")
    lines = [json.dumps({"prompt": text}, ensure_ascii=False) for text in any_texts]
    (folder / "any.jsonl").write_bytes("\r\n \n".join(lines).encode())
    assert texts(folder, {"file": "any.jsonl"}) == any_texts


def test_rows_that_are_not_needed_are_not_checked(folder):
    (folder / "some.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n{"other": 1}\nx\n')
    assert texts(folder, {"file": "some.jsonl", "first": 2}) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "all prompts are wanted, but the source has 0"),
        ('{"prompt": "a"}\n\n{"prompt": \n', "line 3: cannot be read: Input data was truncated"),
        (b'{"prompt": "a"}\n"\xff"\n', "line 2: cannot be read: "),
        ('{"prompt": "\\ud800"}\n', "line 1: cannot be read: "),
        ('{"id": 1, "text": "a"}', "line 1: there is no field 'prompt'; there are id, text"),
        ('["prompt"]', "line 1: there is no field 'prompt'; there are none"),
        ('{"prompt": ["a"]}', "line 1: field 'prompt' is not text, but list"),
        ('{"prompt": null}', "line 1: field 'prompt' is not text, but NoneType"),
        ('{"prompt": "a"}\n{"prompt": " \\n"}', "line 2: field 'prompt' is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_line(tmp_path, content, error):
    path = tmp_path / "a.jsonl"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    location = "prompts[1]: "
    if not error.startswith("all"):
        location += f"{path}{',' if error.startswith('line') else ':'} "
    assert refusal(tmp_path, "text", {"file": "a.jsonl"}).startswith(location + error)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({"file": "ten.jsonl", "first": 11}, "[0]: 11 prompts are wanted, but the source has 10"),
        ({"file": "ten.jsonl", "sample": 11}, "[0]: 11 prompts are wanted, but the source has 10"),
        ({"file": "ten.jsonl", "first": 1, "sample": 1}, "[0]: give first or sample, not both"),
        ({"file": "ten.jsonl", "first": 0}, "[0].first: 0: expected `int` >= 1"),
        ({"file": 3}, "[0].file: 3: expected `str`, got `int`"),
        ({"file": "ten.jsonl", "last": 1},
         "[0].last: unknown key; allowed are first, sample, file, field"),
        ({"first": 1}, "[0]: a source has one of the keys file, human_eval, dataset"),
        ({"file": "a", "dataset": "b"},
         "[0]: a source has one of the keys file, human_eval, dataset"),
        ({"file": "ten.jsonl", "field": "turns.0"},
         "[0]: {}/ten.jsonl, line 1: there is no field 'turns.0'; there are id, prompt"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_scenario_is_named(folder, source, error):
    assert refusal(folder, source) == f"prompts{error.replace('{}', str(folder))}"


def test_the_resolved_scenario_holds_the_texts(folder):
    scenario = {**BASE, "prompts": [{"file": "ten.jsonl", "sample": 2}, "b"]}
    checked = check_scenario(scenario, str(folder / "s.yaml"))
    mapping = yaml.safe_load(yaml.safe_dump(checked.to_mapping()))
    assert mapping["prompts"] == checked.prompts
    assert mapping["prompts"][2] == "b"
    (folder / "ten.jsonl").unlink()
    again = check_scenario(mapping, "elsewhere/scenario.yaml")
    assert again.to_mapping() == mapping


@pytest.mark.parametrize(
    "sweep",
    [
        {"prompts": [["a"], [{"file": "ten.jsonl", "first": 1}], ["prompt 1"]]},
        {"prompts.0.first": [1, 2, 3]},
        {"prompts.0.sample": [2, 1], "prompts.0.first": [None]},
        {"prompts.0.first": [1, 2], "links.radio.up.rate": ["5mbit", "6mbit"]},
        {"prompts.1": ["a", "b", {"file": "ten.jsonl", "first": 2}]},
    ],
)
def test_prompts_may_be_swept(folder, sweep):
    """One of the points equals the scenario, so there is no difference to write."""
    raw = {**BASE, "prompts": [{"file": "ten.jsonl", "first": 1}, "b"], "sweep": sweep}
    scenario = check_scenario(raw, str(folder / "s.yaml"))
    mapping = yaml.safe_load(yaml.safe_dump(scenario.to_mapping()))
    assert "jsonl" not in str(mapping)
    again = check_scenario(mapping, "elsewhere/scenario.yaml")
    assert again.to_mapping() == mapping
    points = [point.scenario.prompts for point in scenario.every_point()]
    assert [point.scenario.prompts for point in again.every_point()] == points
    assert len({*map(tuple, points)}) > 1


def test_two_points_with_the_same_texts_are_refused(folder):
    sweep = {"prompts": [["prompt 0"], [{"file": "ten.jsonl", "first": 1}]]}
    (folder / "s.yaml").write_text(yaml.safe_dump({**BASE, "sweep": sweep}))
    with pytest.raises(Exception, match="is the same scenario as prompts"):
        load_scenario(folder / "s.yaml")


def test_a_source_can_be_changed_from_the_command_line(folder):
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump({**BASE, "prompts": [{"file": "ten.jsonl", "first": 1}]}))
    assert load_scenario(path, ["prompts.0.first=2"]).prompts == TEN[:2]


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_run_decodes_the_prompts_of_a_file_and_keeps_them(folder):
    some = {"file": "ten.jsonl", "sample": 2}
    scenario = write(folder, prompts=[some, "b"], sweep={"prompts.1": ["b", "c"]}, seed=3)
    run(scenario)
    found = results(scenario)
    drawn = texts(folder, some, seed=3)
    (folder / "ten.jsonl").unlink()
    again = check_scenario(found.scenario(), str(found.path / "scenario.yaml"))
    assert [point.scenario.prompts for point in again.every_point()] == [
        [*drawn, "b"], [*drawn, "c"],
    ]  # fmt: skip
    for last in ("b", "c"):
        written = found.run("dssd", 0, {"prompts.1": last}) / "text.txt"
        decoded = written.read_text()
        for number, text in enumerate([*drawn, last], 1):
            assert f"--- prompt {number}\n{text}\n" in decoded
    hashes = [row.output_sha256 for row in found.summary().rows]
    assert hashes[:2] == hashes[3:5]
    assert len(set(hashes)) == 4
