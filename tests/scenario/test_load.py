"""Scenarios: shipped ones load, resolved ones load as the same, errors name the remedy."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.emulation.backend import BACKENDS
from testbed.errors import TestbedError
from testbed.experiment.launcher import launch
from testbed.links.profiles import PROFILES
from testbed.methods.base import methods
from testbed.scenario.load import check_scenario, load_scenario

SHIPPED = sorted((Path(__file__).parents[2] / "scripts/scenarios").glob("*.yaml"))
BASE = {
    "name": "base",
    "topology": "edge",
    "verifier": "base_station",
    "links": {"radio": {"up": {"rate": "5mbit", "delay": "20ms"}, "down": {}}},
    "models": {"synthetic": {"vocabulary_size": 100, "acceptance": 0.8}},
    "methods": ["dssd", {"method": "dsd", "label": "dsd-8", "draft_length": 8}],
    "prompts": ["one", "two"],
}
REAL = {"target": {"model": "a", "dtype": "bf16", "without_layers": [3, 4]}, "draft": "b"}


def changed(path: str, value) -> dict:
    """Return BASE with the value at KEY.KEY replaced; `...` removes the key."""
    raw = copy.deepcopy(BASE)
    *parents, last = path.split(".")
    place = raw
    for key in parents:
        place = place.setdefault(key, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return raw


def resolved(raw) -> dict:
    return check_scenario(raw, "s.yaml").to_mapping()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_load_and_their_resolved_form_reads_back(path):
    mapping = load_scenario(path).to_mapping()
    assert resolved(mapping) == mapping
    assert resolved(yaml.safe_load(yaml.safe_dump(mapping))) == mapping
    assert mapping["name"] == path.stem


def test_there_are_shipped_scenarios():
    assert len(SHIPPED) >= 2


def test_the_resolved_form_has_every_default_filled_in():
    assert resolved(BASE) == {
        **BASE,
        "description": "",
        "handovers": [],
        "tcp": {"congestion_control": "cubic"},
        "decoding": {
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 64, "ignore_eos": False,
        },
        "compute": "measured",
        "chat": False,
        "devices": 1,
        "repeat": 1,
        "seed": 0,
        "backend": "auto",
        "timeout": "60s",
        "time_dilation": 1.0,
        "capture": True,
        "energy": None,
        "sweep": [],
        "models": {
            "synthetic": {
                "vocabulary_size": 100, "acceptance": 0.8, "greedy_acceptance": None, "seed": 0,
            },
        },
        "links": {
            "radio": {
                "up": {
                    "rate": "5mbit", "delay": "20ms", "jitter": "0us", "loss": "0%",
                    "queue": "125KB", "duplicate": "0%", "corrupt": "0%", "reorder": "0%",
                    "mtu": "1500B",
                },
                "down": {
                    "rate": "unlimited", "delay": "0us", "jitter": "0us", "loss": "0%",
                    "queue": "64KiB", "duplicate": "0%", "corrupt": "0%", "reorder": "0%",
                    "mtu": "1500B",
                },
            }
        },
        "methods": [
            {"method": "dssd", "label": "dssd", "draft_length": 4, "precision": "fixed16",
             "target_precision": "fixed16"},
            {"method": "dsd", "label": "dsd-8", "draft_length": 8, "precision": "fixed16",
             "target_precision": "exact"},
        ],
    }  # fmt: skip


scenarios = st.fixed_dictionaries(
    {
        "prompts": st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3),
        "decoding": st.fixed_dictionaries({"temperature": st.floats(0, 100)}),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "timeout": st.floats(1e-3, 86400).map(lambda seconds: f"{seconds:f}s"),
        "models": st.sampled_from([BASE["models"], REAL]),
        "backend": st.sampled_from(BACKENDS),
        "links": st.sampled_from(
            [
                {"radio": direction}
                for direction in ({}, {"up": {"loss": "0.1%"}}, {"down": {"delay": "3ms"}})
            ]
        ),
    }
)


@settings(deadline=None, max_examples=50)
@given(scenarios)
def test_any_scenario_reads_back(some):
    mapping = resolved({**BASE, **some})
    assert resolved(mapping) == mapping
    assert {key: mapping[key] for key in ("prompts", "seed", "backend")} == {
        key: some[key] for key in ("prompts", "seed", "backend")
    }


def test_all_topologies_have_their_verifiers():
    directions = {"up": {}, "down": {}}
    for verifier in ("base_station", "cloud"):
        raw = {**BASE, "topology": "three_tier", "verifier": verifier}
        raw["links"] = {"radio": directions, "backhaul": directions}
        assert list(resolved(raw)["links"]) == ["radio", "backhaul"]


ALONG = {
    **BASE,
    "topology": "handover",
    "links": {name: {"up": {}, "down": {}} for name in ("radio", "radio_2", "between")},
}


def test_handovers_read_back_and_need_the_relay_if_anything_waits():
    raw = {**ALONG, "handovers": [{"at": "5s", "to": "radio_2", "stall": "60ms"}]}
    mapping = resolved({**raw, "handovers": [*raw["handovers"], {"at": "9s", "to": "radio"}]})
    assert mapping["handovers"][1] == {"at": "9s", "to": "radio", "stall": "0us"}
    assert resolved(mapping) == mapping
    why = "handover (it cannot hold packets without losing any)"
    refused = check_scenario(raw, "s.yaml").netem_refusals()
    assert refused == [f"links.radio: {why}", f"links.radio_2: {why}"]
    raw["handovers"][0]["stall"] = 0
    assert check_scenario(raw, "s.yaml").netem_refusals() == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({**BASE, "handovers": [{"at": "5s", "to": "radio"}]},
         ": topology edge has one path only; choose from handover"),
        ({"handovers": {}}, ": {}: expected `list`, got `mapping`"),
        ({"handovers": [{"at": "5s", "to": "between"}]},
         "[0].to: 'between' is not a radio link; choose from radio, radio_2"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_handover_is_named(changes, error):
    with pytest.raises(TestbedError) as caught:
        check_scenario({**ALONG, **changes}, "s.yaml")
    assert str(caught.value) == f"s.yaml: handovers{error}"


def test_a_link_that_a_handover_stalls_begins_with_the_run():
    raw = copy.deepcopy({**ALONG, "handovers": [{"at": "5s", "to": "radio_2", "stall": "1ms"}]})
    raw["links"]["radio_2"]["start"] = "first_packet"
    with pytest.raises(TestbedError, match=r"^s.yaml: links.radio_2.start: 'first_packet' cannot"):
        check_scenario(raw, "s.yaml")


def cell(up=None, **changes) -> dict:
    links = {"radio": {"up": up or {"rate": "5mbit"}, "down": {}}}
    return {**BASE, "topology": "cell", "links": links, **changes}


def test_a_cell_divides_its_rate_by_a_scheduler_unless_the_scenario_writes_of_the_queue():
    fair = {"limit": "125KB", "discipline": "round_robin"}
    for written, queue in (
        ({}, fair),
        ({"queue": "64KiB"}, "64KiB"),
        ({"queue": {"limit": "1MB", "discipline": "round_robin"}}, {**fair, "limit": "1MB"}),
    ):
        mapping = resolved(cell({"rate": "5mbit", **written}, devices=3))
        assert mapping["links"]["radio"]["up"]["queue"] == queue
        assert mapping["devices"] == 3
        assert resolved(mapping) == mapping
    assert resolved(BASE)["links"]["radio"]["up"]["queue"] == "125KB"
    assert resolved(cell())["devices"] == 1


def test_a_cell_with_a_profile_keeps_its_buffer_and_shares_it():
    for profile in PROFILES:
        alone = resolved({**BASE, "links": {"radio": {"profile": profile}}})["links"]["radio"]
        raw = {**BASE, "topology": "cell", "links": {"radio": {"profile": profile}}, "devices": 2}
        mapping = resolved(raw)
        for direction in ("up", "down"):
            queue = mapping["links"]["radio"][direction]["queue"]
            assert queue == {"limit": alone[direction]["queue"], "discipline": "round_robin"}
        assert resolved(mapping) == mapping


def test_a_cell_keeps_its_discipline_through_changes_of_the_rate():
    links = {"radio": {"changes": [{"at": "1s", "up": {"rate": "1mbit"}}]}}
    scenario = check_scenario(cell(links=links), "s.yaml")
    (moment,) = scenario.schedules["radio"].moments
    assert moment.up.queue.discipline == "round_robin"
    assert any("queue.discipline" in reason for reason in scenario.netem_refusals())


def test_a_method_may_run_twice_under_two_labels():
    mapping = resolved({**BASE, "methods": ["dsd", {"method": "dsd", "label": "again"}]})
    assert [each["label"] for each in mapping["methods"]] == ["dsd", "again"]


NOT_A_RATE = "is not a rate; write a number and one of bit, kbit, mbit, gbit, e.g. 10mbit"
NOT_A_TIME = "is not a time; write a number and one of us, ms, s, e.g. 20ms"
NO_LINK_KEY = (
    "unknown key; allowed are rate, delay, jitter, loss, queue, duplicate, corrupt, reorder, mtu"
)
NO_OPTION = "unknown key; allowed are draft_length, precision, target_precision"
NAMING = "begin with a letter or digit of ASCII, then use these, '_', '.' and '-'"
EITHER = "give either target and draft, or synthetic"
PROMPTS = "at least one is needed, and none may be empty"

MISTAKES = [  # where, what is written there, and the error after the name of that place
    ("colour", 1, ": unknown key; allowed are name, topology, verifier, links, models, methods, "
     "prompts, chat, description, handovers, tcp, decoding, compute, devices, repeat, seed, "
     "backend, timeout, time_dilation, capture, energy, sweep"),
    ("decoding", {"temprature": 1}, ".temprature: unknown key; allowed are temperature, top_k, "
     "top_p, max_new_tokens, ignore_eos"),
    ("links.radio.up", {"raet": "1mbit"}, f".raet: {NO_LINK_KEY}"),
    ("links.radio.down.mut", "1mbit", f": {NO_LINK_KEY}"),
    ("links.radio.upp", {}, ": unknown key; allowed are profile, up, down, start, changes"),
    ("models", {"draught": "a"}, ".draught: unknown key; allowed are synthetic, target, draft"),
    ("models.synthetic.alpha", 1,
     ": unknown key; allowed are vocabulary_size, acceptance, greedy_acceptance, seed"),
    ("models", {**REAL, "draft": {"model": "b", "path": 1}},
     ".draft.path: unknown key; allowed are model, dtype, without_layers, threads, device"),
    ("prompts", ..., ": this key is missing"),
    ("models.synthetic.acceptance", ..., ": this key is missing"),
    ("models", {"target": {"dtype": "fp32"}}, ".target.model: this key is missing"),
    ("links.radio.up.rate", "5mbps", f": '5mbps' {NOT_A_RATE}"),
    ("links.radio.up.rate", "-5mbit", f": '-5mbit' {NOT_A_RATE}"),
    ("links.radio.up.rate", "0mbit", ": it is 0 from the beginning; give the rate of most of the "
     "time, and 0 in changes or in rows of a trace"),
    ("links.radio.down.delay", 20, f": '20' {NOT_A_TIME}"),
    ("links.radio.up.loss", {"mean": "80%", "burst": 3}, ".burst: 3 packets are too few for a mean "
     "loss of 80%; it must be at least 4"),
    ("links.radio.down.jitter", {"spread": "1ms", "law": "gauss"}, ".law: 'gauss': choose from "
     "normal, pareto, paretonormal, uniform"),
    ("links.radio", None, ": expected `mapping`, got `null`"),
    ("links.radio", 3, ": 3: expected `mapping`, got `int`"),
    ("links.radio.up", ["1mbit"], ": ['1mbit']: expected `mapping`, got `list`"),
    ("links", [1], ": [1]: expected `mapping`, got `list`"),
    ("links", {}, ": none given; this topology has exactly radio"),
    ("links", {"radio": {}, "lan": {}}, ": radio, lan given; this topology has exactly radio"),
    ("topology", "star",
     ": topology 'star' is unknown; there are cell, edge, handover, three_tier"),
    ("topology", 3, ": 3: expected `str`, got `int`"),
    *[("verifier", host, f": '{host}' is not a host of topology edge that can verify; choose from "
       "base_station") for host in ("cloud", "device")],
    ("models", {}, f": {EITHER}"),
    ("models", {"target": "a"}, f": {EITHER}"),
    ("models", {**REAL, **BASE["models"]}, f": {EITHER}"),
    ("models", {**BASE["models"], "draft": "a"}, f": {EITHER}"),
    ("models", 3, ": 3: expected `mapping`, got `int`"),
    ("models.synthetic.acceptance", 0, ": 0: expected `float` > 0.0"),
    ("models", {**REAL, "draft": {"model": "b", "dtype": "fp8"}},
     ".draft.dtype: 'fp8': choose from bf16, fp16, fp32, int8"),
    ("models", {**REAL, "draft": {"model": "b", "device": "gpu"}},
     ".draft.device: 'gpu': choose from auto, cpu, cuda, cuda:0, cuda:1, cuda:2, cuda:3, cuda:4, "
     "cuda:5, cuda:6, cuda:7"),
    ("models", {**REAL, "draft": {"model": "b", "without_layers": [1, "x"]}},
     ".draft.without_layers[1]: 'x': expected `int`, got `str`"),
    ("methods", [], ": at least one is needed (see `testbed methods`)"),
    ("methods", {}, ": {}: expected `list`, got `mapping`"),
    ("methods", ["dsd", 3], "[1]: 3: expected `str | mapping`, got `int`"),
    ("methods", ["dsdd"],
     "[0]: 'dsdd' is not a method; choose from " + ", ".join(methods())),
    ("methods", ["dsd", {"method": "dssd", "gamma": 4}], f"[1].gamma: {NO_OPTION}"),
    ("methods", [{"method": "dsd", "draft_length": 0}], "[0].draft_length: 0: expected `int` >= 1"),
    ("methods", ["dsd", "dsd"], "[1].label: 'dsd' is taken; give each method its own label"),
    ("methods", [{"method": "dsd", "label": "_x"}], f"[0].label: '_x' is not a label; {NAMING}"),
    ("methods", [{"method": "dsd", 3: 4}], "[0]: the key 3 is not a text"),
    ("methods", [{"dsd": {"draft_length": 4}}], "[0].method: this key is missing"),
    ("prompts", [], f": {PROMPTS}"),
    ("prompts", ["one", " \n"], f": {PROMPTS}"),
    ("prompts", "one", ": 'one': expected `list`, got `str`"),
    ("prompts", ["one", 2], "[1]: 2: expected `str | mapping`, got `int`"),
    ("decoding", 3, ": 3: expected `mapping`, got `int`"),
    ("decoding.temperature", -1, ": -1: expected `float` >= 0.0"),
    ("decoding.temperature", "hot", ": 'hot': expected `float`, got `str`"),
    ("decoding.temperature", float("inf"), ": inf: expected `float` <= 1000.0"),
    ("decoding.top_p", 1.5, ": 1.5: expected `float` <= 1.0"),
    ("decoding.top_k", -1, ": -1: expected `int` >= 0"),
    ("decoding.max_new_tokens", 0, ": 0: expected `int` >= 1"),
    ("compute", "fast", ": 'fast': choose from measured"),
    ("compute", {}, ": it has neither draft nor target; give one, or write measured"),
    ("compute.draft", {"per_pass": "6ms"},
     ".per_token: this key is missing, and there is no profile"),
    ("compute.draft", {"per_pass": 6, "per_token": "0"},
     ".per_pass: 6: expected `str | null`, got `int`"),
    ("compute.target", {"per_pass": "6", "per_token": "0"}, f".per_pass: '6' {NOT_A_TIME}"),
    ("compute.target", {"per_pass": "0", "per_token": "0ms"},
     ": per_pass and per_token are both 0; a pass must take some time"),
    ("devices", 3, ": topology edge has one device, not 3; for more use cell"),
    ("devices", 0, ": 0: expected `int` >= 1"),
    ("devices", "many", ": 'many': expected `int`, got `str`"),
    ("repeat", 0, ": 0: expected `int` >= 1"),
    ("repeat", "two", ": 'two': expected `int`, got `str`"),
    ("seed", 2**63, f": {2**63}: expected `int` <= {2**63 - 1}"),
    ("timeout", "soon", f": 'soon' {NOT_A_TIME}"),
    ("timeout", 60, f": '60' {NOT_A_TIME}"),
    ("timeout", "0s", ": it is 0s; it must be above 0 and at most 86400s"),
    ("timeout", "86401s", ": it is 86401s; it must be above 0 and at most 86400s"),
    ("backend", "tc", ": 'tc': choose from auto, netem, relay, simulated"),
    ("tcp", "reno", ": 'reno': expected `mapping`, got `str`"),
    ("tcp.congestion_control", "Two words",
     ": 'Two words': expected `str` matching regex '^[a-z0-9_-]+$'"),
    ("tcp.congestion_control", "a" * 16, f": {'a' * 16!r}: expected `str` of length <= 15"),
    ("tcp.sack", False, ": unknown key; allowed are congestion_control"),
    ("name", "a/b", f": 'a/b' is not a name; {NAMING}"),
    ("name", "_x", f": '_x' is not a name; {NAMING}"),
    ("name", None, ": expected `str`, got `null`"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "error"), MISTAKES)
def test_a_mistake_is_named_with_file_place_and_what_is_allowed(place, value, error):
    with pytest.raises(TestbedError) as caught:
        check_scenario(changed(place, value), "s.yaml")
    assert str(caught.value) == f"s.yaml: {place}{error}"


def test_a_long_value_is_not_repeated_in_full():
    with pytest.raises(TestbedError) as caught:
        check_scenario(changed("description", ["two\nlines" * 99] * 99), "s.yaml")
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_a_key_that_is_no_text_is_refused():
    with pytest.raises(TestbedError, match=r"^s\.yaml: the key 3 is not a text$"):
        check_scenario({**BASE, 3: 4}, "s.yaml")


@pytest.mark.parametrize("sweep", [{}, {"models.synthetic.vocabulary_size": [1000, 99]}])
def test_a_method_that_cannot_work_with_the_vocabulary_is_named_before_anything_starts(
    tmp_path, sweep
):
    methods = ["dssd", {"method": "ksqs", "label": "wide", "top_k": 100 if sweep else 101}]
    scenario = check_scenario({**BASE, "methods": methods, "sweep": sweep}, "s.yaml")
    with pytest.raises(TestbedError) as caught:
        launch(scenario, tmp_path)
    what, size = ("101", "100") if not sweep else ("100", "99")
    assert str(caught.value) == (
        f"s.yaml: method wide: top_k is {what}; it must be at most the vocabulary's {size}"
    )
    assert not list(tmp_path.iterdir())


def test_an_energy_model_is_kept_as_written_and_needs_units():
    stated = {"per_drafted_token": "80mJ", "per_bit": "100nJ"}
    assert resolved(changed("energy", stated))["energy"] == stated
    with pytest.raises(TestbedError, match=r"s.yaml: energy: .*'80' is not a measure of"):
        resolved(changed("energy", {**stated, "per_bit": "80"}))
