"""The schema for editors accepts scenarios that load, and refuses common mistakes."""

from __future__ import annotations

import argparse
import copy
import json

import pytest
import yaml

from testbed.commands import lists
from testbed.config.yaml_loader import parse_yaml
from testbed.links.impairments.base import impairments
from testbed.scenario.json_schema import scenario_schema
from testbed.scenario.load import check_scenario, load_scenario
from tests.scenario.test_load import BASE, SHIPPED, changed
from tests.support.json_schema import valid

SCHEMA = scenario_schema()

RICH = {
    **copy.deepcopy(BASE),
    "topology": "handover",
    "timeout": "20s",
    "tcp": {"congestion_control": "bbr"},
    "energy": {"per_drafted_token": "80mJ", "per_bit": "1uJ"},
    "links": {
        "radio": {
            "profile": "lte_good",
            "up": {
                "loss": {"mean": "1%", "burst": 4},
                "jitter": {"spread": "5ms", "law": "normal", "correlation": "10%"},
                "queue": {"limit": "100packets", "discipline": "codel"},
            },
            "down": {
                "delay": 0,
                "jitter": 0,
                "loss": {"p": "1%", "r": "50%", "1-h": "90%"},
                "mtu": "1400B",
            },
            "changes": [
                {"at": "1s", "over": "2s", "up": {"rate": "2.5e3 kbit"}},
                {"at": "4s", "flap": {"down": "100ms", "up": "400ms", "times": 5}},
                {"at": "9s", "handover": "80ms", "down": {"rate": "0"}},
            ],
        },
        "between": {},
        "radio_2": {"up": {"rate": "unlimited", "queue": "50ms", "reorder": "1%", "delay": "1ms"}},
    },
    "handovers": [{"at": "5s", "to": "radio_2", "stall": "60ms"}],
    "compute": {"draft": {"per_pass": "10ms", "per_token": "1ms"}},
}


def follows(raw: object) -> bool:
    return valid(raw, SCHEMA, SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_and_their_resolved_forms_follow_it(path):
    assert follows(parse_yaml(path.read_text(), str(path)))
    assert follows(load_scenario(path).to_mapping())


def test_what_loads_follows_it():
    scenario = check_scenario(RICH, "s.yaml")
    assert follows(RICH)
    assert follows(yaml.safe_load(yaml.safe_dump(scenario.to_mapping())))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("nmae", "x"),
        ("links.radio.up.raet", "5mbit"),
        ("links.radio.up.rate", "5mbps"),
        ("links.radio.up.rate", {"mahi": "x"}),
        ("links.radio.up.delay", 20),
        ("links.radio.up.delay", None),
        ("links.radio.up.loss", "1"),
        ("links.radio.up.loss", {"mean": "1%", "bursts": 4}),
        ("links.radio.up.jitter", {"spread": "1ms", "law": "gauss"}),
        ("links.radio.up.queue", {"limit": "1MB", "discipline": "red"}),
        ("links.radio.changes", [{"up": {"rate": "1mbit"}}]),
        ("links.radio.changes", [{"at": "1s", "up": {"mtu": "1000B"}}]),
        ("tcp", {"congestion": "reno"}),
        ("tcp", {"congestion_control": "NewReno"}),
        ("methods", ["dsdd"]),
        ("methods", [{"method": "dssd", "gamma": 4}]),
        ("methods", [{"label": "dssd"}]),
        ("decoding", {"top_p": 0}),
        ("prompts", [{"fiel": "x.jsonl"}]),
        ("name", ...),
    ],
)
def test_a_mistake_does_not_follow_it(place, value):
    assert follows(BASE)
    assert not follows(changed(place, value))


def test_keys_have_descriptions():
    fields = SCHEMA["$defs"]["Direction"]["properties"]
    assert all(schema["description"] for schema in fields.values())
    for kind in impairments():
        assert fields[kind.key]["description"] == kind.summary
    assert SCHEMA["$defs"]["Handover"]["properties"]["stall"]["default"] == "0us"


def test_every_key_has_a_description():
    structs = [*SCHEMA["$defs"].values()]
    structs += [
        each
        for each in SCHEMA["$defs"]["ScenarioSpec"]["properties"]["methods"]["items"]["anyOf"]
        if "properties" in each
    ]
    assert len(structs) > 40
    for struct in structs:
        for key, schema in struct["properties"].items():
            assert key == "policy" or schema.get("description"), (struct["title"], key)


def test_a_command_prints_it(capsys):
    parser = argparse.ArgumentParser()
    lists.add(parser.add_subparsers())
    args = parser.parse_args(["schema"])
    args.command(args)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))
