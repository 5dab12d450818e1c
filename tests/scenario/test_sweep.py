"""Sweeps: every combination is a scenario of its own, checked before anything starts."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

from testbed.errors import TestbedError
from testbed.results.directory import Results
from testbed.scenario.load import check_scenario, load_scenario
from testbed.scenario.sweep import axes_of, differences, namer, point_text
from tests.scenario.test_load import BASE
from tests.support.whole_run import results, run, write

RATE, LENGTH = "links.radio.up.rate", "methods.1.draft_length"
GRID = {RATE: ["1mbit", "20mbit"], LENGTH: [2, 6, 8]}


def swept(sweep) -> dict:
    return {**copy.deepcopy(BASE), "sweep": sweep}


def test_a_grid_has_every_combination_in_order():
    points = check_scenario(swept(GRID), "s.yaml").every_point()
    assert [point.values for point in points] == [
        {RATE: rate, LENGTH: length} for rate in GRID[RATE] for length in GRID[LENGTH]
    ]
    for point in points:
        assert point.scenario.links["radio"].up.rate == int(point.values[RATE][:-4]) * 1e6
        assert point.scenario.methods[1].options["draft_length"] == point.values[LENGTH]
        assert point.scenario.methods[0].options["draft_length"] == 4
        assert not point.scenario.points


def test_a_list_has_the_points_it_names():
    listed = [{RATE: "1mbit", LENGTH: 2}, {RATE: "20mbit", LENGTH: 8}]
    points = check_scenario(swept(listed), "s.yaml").every_point()
    assert [point.values for point in points] == listed


def test_zipped_keys_change_together_and_meet_every_other_value():
    zipped = {"zip": {RATE: ["1mbit", "20mbit"], "seed": [5, 6]}, LENGTH: [2, 6]}
    scenario = check_scenario(swept(zipped), "s.yaml")
    assert [point.values for point in scenario.every_point()] == [
        {RATE: rate, "seed": seed, LENGTH: length}
        for rate, seed in (("1mbit", 5), ("20mbit", 6))
        for length in (2, 6)
    ]
    again = check_scenario(scenario.to_mapping(), "resolved.yaml").every_point()
    assert [p.scenario.spec.seed for p in again] == [5, 5, 6, 6]


def test_several_groups_of_zipped_keys_meet_each_other():
    rates = {RATE: ["1mbit", "20mbit"], "seed": [5, 6]}
    lengths = {LENGTH: [2, 6], "repeat": [1, 3]}
    points = check_scenario(swept({"zip": [rates, lengths]}), "s.yaml").every_point()
    assert [point.values for point in points] == [
        {RATE: rate, "seed": seed, LENGTH: length, "repeat": repeat}
        for rate, seed in (("1mbit", 5), ("20mbit", 6))
        for length, repeat in ((2, 1), (6, 3))
    ]
    groups = axes_of([point.values for point in points])
    assert groups == [[RATE, "seed"], [LENGTH, "repeat"]]


def test_without_a_sweep_the_scenario_is_its_own_only_point():
    scenario = check_scenario(BASE, "s.yaml")
    (point,) = scenario.every_point()
    assert (point.values, point.scenario) == ({}, scenario)


def test_what_follows_from_a_value_follows_at_each_point_of_the_resolved_form_too():
    """A default queue follows the swept rate; a queue that the scenario sets does not."""
    scenario = check_scenario(swept(GRID), "s.yaml")
    mapping = yaml.safe_load(yaml.safe_dump(scenario.to_mapping()))
    again = check_scenario(mapping, "resolved.yaml")
    assert again.to_mapping() == mapping
    wanted = [point.scenario.to_mapping() for point in scenario.every_point()]
    assert [point.scenario.to_mapping() for point in again.every_point()] == wanted
    queues = {point.scenario.links["radio"].up.queue for point in again.every_point()}
    assert queues == {65536, 500_000}


MISTAKES = [
    ({RATE: []}, "s.yaml: sweep.links.radio.up.rate: at least one value is needed"),
    ({RATE: ["1mbit", "fast"]}, "s.yaml: links.radio.up.rate: 'fast'"),
    ({"seeds": [1]}, "s.yaml: seeds: unknown key"),
    (
        {"methods.7.draft_length": [1]},
        "s.yaml: sweep.methods.7.draft_length: '7' is not an entry of",
    ),
    ([{}], "s.yaml: sweep: a point needs at least one key"),
    (
        {"zip": {RATE: ["1mbit", "2mbit"], LENGTH: [2]}},
        f"s.yaml: sweep.zip: {RATE} has 2, {LENGTH} has 1; keys that change together need "
        "equally many values",
    ),
    ({"zip": {}}, "s.yaml: sweep.zip: at least one value is needed"),
    ({"zip": {RATE: []}}, "s.yaml: sweep.zip: at least one value is needed"),
    ({"zip": [RATE]}, "s.yaml: sweep.zip: give a list of values, or keys that change together"),
    ({"zip": []}, "s.yaml: sweep.zip: give a list of values, or keys that change together"),
    ({"zip": [{}]}, "s.yaml: sweep.zip: at least one value is needed"),
    ({"zip": [{LENGTH: [2]}, {LENGTH: [6]}]}, f"s.yaml: sweep: {LENGTH} is named twice"),
    ({RATE: {LENGTH: [2]}}, f"s.yaml: sweep.{RATE}: give a list of values, or keys that change"),
    ({"zip": {RATE: ["1mbit"]}, RATE: ["2mbit"]}, f"s.yaml: sweep: {RATE} is named twice"),
    ({"topology": ["edge"]}, "s.yaml: sweep: a point needs at least one key, and none of name, to"),
    ([{"backend": "relay"}], "s.yaml: sweep: a point needs at least one key, and none of name, to"),
    ({RATE: "1mbit"}, "s.yaml: sweep"),
    ({LENGTH: [2, 3, 2]}, f"s.yaml: sweep: {LENGTH} 2 is the same scenario as {LENGTH} 2; name"),
    ({RATE: ["1mbit", "1000kbit"]}, f"s.yaml: sweep: {RATE} 1000kbit is the same scenario as"),
    ([{LENGTH: 2, "seed": 0}, {LENGTH: 2}], f"s.yaml: sweep: {LENGTH} 2 is the same scenario as"),
]


@pytest.mark.parametrize(("sweep", "message"), MISTAKES)
def test_mistakes_are_named_before_anything_starts(sweep, message):
    with pytest.raises(TestbedError) as caught:
        check_scenario(swept(sweep), "s.yaml")
    assert str(caught.value).startswith(message)


def test_a_swept_key_cannot_be_set_as_well(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(swept(GRID)))
    with pytest.raises(TestbedError, match=r"sweeps it; --set sweep=\{\} ends that"):
        load_scenario(path, [f"{RATE}=3mbit"])
    zipped = GRID | {LENGTH: [2, 6]}
    for together in (zipped, [zipped]):
        path.write_text(yaml.safe_dump(swept({"zip": together})))
        with pytest.raises(TestbedError, match=r"sweeps it; --set sweep=\{\} ends that"):
            load_scenario(path, [f"{RATE}=3mbit"])
    scenario = load_scenario(path, ["sweep={}", f"{RATE}=3mbit"])
    assert scenario.links["radio"].up.rate == 3e6
    assert not scenario.points


def test_a_value_inside_of_a_swept_one_cannot_be_set_either(tmp_path):
    """Every point would replace the value, so the run would not use it."""
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(swept({"links.radio.up": [{"rate": "1mbit"}]})))
    with pytest.raises(TestbedError, match="sweeps it"):
        load_scenario(path, [f"{RATE}=3mbit"])
    beside = load_scenario(path, ["links.radio.down.rate=3mbit"]).every_point()
    assert beside[0].scenario.links["radio"].down.rate == 3e6


def test_each_point_keeps_a_method(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(swept({"methods": [["dssd", "dsd"], ["dsd"]]})))
    with pytest.raises(TestbedError, match=r"^--methods: none of dssd is in .* it has dsd$"):
        load_scenario(path, methods=["dssd"])


def test_only_the_methods_asked_for_run_at_each_point(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(swept(GRID)))
    for point in load_scenario(path, methods=["dsd-8"]).every_point():
        assert [entry.label for entry in point.scenario.methods] == ["dsd-8"]


def test_points_write_to_directories_of_their_own(tmp_path):
    results = Results(tmp_path)
    points = [{RATE: "1mbit"}, {RATE: "1.mbit"}, {RATE: "1/mbit"}, {}]
    assert len({results.run("dsd", 0, point) for point in points}) == 4
    assert len({results.log("device", point) for point in points}) == 4


def test_differences_name_the_smallest_parts():
    base = {"a": {"b": 1, "c": [1, {"d": 2}]}, "e": {"f": 1}}
    other = {"a": {"b": 1, "c": [1, {"d": 3}]}, "e": {"g": 1}}
    assert differences(base, other) == {"a.c.1.d": 3, "e": {"g": 1}}
    assert differences(base, copy.deepcopy(base)) == {}


@pytest.mark.emulation
def test_each_point_has_a_network_of_its_own(tmp_path):
    scenario = write(
        tmp_path,
        methods=["dsd", "device_only"],
        backend="relay",
        sweep={RATE: ["2mbit", "50mbit"], "models.synthetic.acceptance": [0.5, 0.9]},
    )
    run(scenario)
    found = results(scenario)
    rows = found.summary().rows
    points = [
        {RATE: rate, "models.synthetic.acceptance": acceptance}
        for rate in ("2mbit", "50mbit")
        for acceptance in (0.5, 0.9)
    ]
    assert [row.point for row in rows] == [point for point in points for _ in range(2)]
    slow, slow_similar, fast, fast_similar = (row for row in rows if row.method == "dsd")
    # Equal models and seeds write equal texts; a faster link carries them faster.
    assert slow.output_sha256 == fast.output_sha256 != slow_similar.output_sha256
    assert fast_similar.output_sha256 == slow_similar.output_sha256
    assert slow.predicted_on_air_s == pytest.approx(25 * fast.predicted_on_air_s, rel=0.1)
    assert slow.seconds > 2 * fast.seconds
    assert slow.acceptance_rate < slow_similar.acceptance_rate
    assert len(found.packet_logs()) == 4 * 2 * 2
    networks = json.loads((found.path / "environment.json").read_bytes())["networks"]
    assert [each["point"] for each in networks] == points
    rates = [each["before"]["links"]["radio"]["up"]["rate"] for each in networks]
    assert rates == ["2mbit", "2mbit", "50mbit", "50mbit"]
    assert (found.path / "figures" / "sweep.png").exists()


def test_keys_that_change_together_are_one_axis():
    points = [
        {"rate": rate, "tokens": tokens, "loss": loss, "seed": 1}
        for rate, tokens in (("1mbit", 8), ("5mbit", 24), ("9mbit", 24))
        for loss in (0, 1)
    ]
    assert axes_of(points) == [["rate", "tokens"], ["loss"], ["seed"]]
    assert axes_of([]) == []


def test_points_are_named_by_keys_that_say_something_and_not_by_pages_of_text():
    points = [{"prompts.0": f"{'Solve this: ' * 400}{question}"} for question in ("1+1", "2+2")]
    for name in (namer(points), point_text):
        one, other = map(name, points)
        assert one.startswith("prompts.0 Solve this: ")
        assert (one[-3:], other[-3:]) == ("1+1", "2+2")
        assert len(one) < 150


@pytest.mark.parametrize("key", ["links.radio.up.trace", "links.radio.up"])
def test_files_of_a_point_that_is_the_scenario_itself_are_kept_as_those_of_others(tmp_path, key):
    for name, rate in (("slow.csv", 1), ("fast.csv", 9)):
        (tmp_path / name).write_text(f"time (s),rate (mbit)\n0,{rate}\n")
    written = {"slow.csv": {"trace": "slow.csv"}, "fast.csv": {"trace": "fast.csv"}}
    values = list(written) if key.endswith("trace") else list(written.values())
    raw = {**swept({key: values}), "links": {"radio": {"up": {"trace": "slow.csv"}}}}
    scenario = check_scenario(raw, str(tmp_path / "s.yaml"))
    kept = Results.create(tmp_path, "kept")
    kept.write_scenario(scenario.to_mapping())
    again = load_scenario(kept.path / "scenario.yaml")
    rates = [point.scenario.schedules["radio"].moments[0].up.rate for point in again.every_point()]
    assert rates == [1e6, 9e6]
