"""Settings without effect are reported, and no others."""

import copy

import pytest

from testbed.experiment.preparation import prepare
from testbed.scenario.load import check_scenario
from tests.scenario.test_load import BASE


def told(tmp_path, **radio):
    raw = {**copy.deepcopy(BASE), "links": {"radio": radio}}
    return check_scenario(raw, str(tmp_path / "s.yaml")).idle()


CHAIN = {"p": "0%", "r": "50%"}


@pytest.mark.parametrize(
    ("radio", "key", "reason"),
    [
        ({"up": {"queue": "1MiB"}}, "up.queue", "nothing queues without a rate"),
        ({"up": {"queue": {"limit": "64KiB", "discipline": "codel"}}}, "up.queue", "nothing qu"),
        ({"down": {"jitter": {"spread": "0", "law": "normal"}}}, "down.jitter", "its spread is 0"),
        (
            {"down": {"jitter": {"spread": "0ms", "law": "uniform", "correlation": "50%"}}},
            "down.jitter",
            "its spread is 0",
        ),
        ({"up": {"loss": {"mean": "0%", "burst": 3}}}, "up.loss", "its bursts never begin"),
        ({"up": {"loss": {**CHAIN, "1-k": "1%"}}}, "up.loss", "its bursts never begin"),
        (
            {"up": {"loss": {"p": "1%", "r": "50%", "1-h": "1%", "1-k": "1%"}}},
            "up.loss",
            "it is the same in bursts and between them, so that there are none",
        ),
        ({"up": {"loss": {"trace": "none.txt"}}}, "up.loss", "its trace loses no packet"),
        ({"up": {"delay": "5ms", "reorder": "100%"}}, "up.delay", "reorder is 100%"),
        (
            {"up": {"trace": "t.csv", "rate": "3mbit"}},
            "up.rate",
            "a trace or a change replaces it at 0 s",
        ),
        (
            {"down": {"delay": "3ms"}, "changes": [{"at": "0s", "down": {"delay": "9ms"}}]},
            "down.delay",
            "a trace or a change replaces it at 0 s",
        ),
        ({"start": "first_packet"}, "start", "nothing changes, and there is no trace of deliv"),
    ],
)
def test_what_can_take_no_effect_is_told_by_its_key_and_the_reason(tmp_path, radio, key, reason):
    (tmp_path / "none.txt").write_text("0\n0\n")
    (tmp_path / "t.csv").write_text("time (s),rate (mbit)\n0,5\n1,2\n")
    (found,) = told(tmp_path, **radio)
    assert found.startswith(f"links.radio.{key} has no effect: {reason}")


@pytest.mark.parametrize(
    "radio",
    [
        {},
        {"profile": "lte_good"},
        {"up": {"queue": "1MiB", "trace": "t.csv"}},
        {"up": {"queue": "1MiB"}, "changes": [{"at": "1s", "up": {"rate": "1mbit"}}]},
        {"up": {"rate": "3mbit"}, "changes": [{"at": "1s", "up": {"rate": "1mbit"}}]},
        {"up": {"loss": "1%"}, "changes": [{"at": "0s", "outage": "1s"}]},
        {
            "up": {"queue": {"limit": "64KiB", "discipline": "codel"}},
            "changes": [{"at": "1s", "handover": "1s"}],
        },
        {"up": {"delay": "9ms", "jitter": {"spread": "1ms", "law": "normal"}}},
        {"up": {"jitter": "0", "loss": "0%"}},
        {"up": {"loss": {"p": "1%", "r": "50%"}}},
        {"start": "first_packet", "up": {"rate": {"mahimahi": "t.mm"}}},
    ],
)
def test_nothing_else_is_told_nor_of_the_resolved_form(tmp_path, radio):
    (tmp_path / "t.csv").write_text("time (s),rate (mbit)\n0,5\n1,2\n")
    (tmp_path / "t.mm").write_text("1\n9\n")
    assert told(tmp_path, **radio) == []
    scenario = check_scenario(
        {**copy.deepcopy(BASE), "links": {"radio": radio}}, str(tmp_path / "s.yaml")
    )
    assert check_scenario(scenario.to_mapping(), "resolved.yaml").idle() == []


@pytest.mark.parametrize(
    ("up", "but"),
    [
        ({"rate": "100mbit"}, ", but for the default queue, which is 2500KB by it"),
        ({"rate": "100mbit", "queue": "64KiB"}, ""),
        ({"rate": "1mbit"}, ""),
    ],
)
def test_a_rate_that_a_trace_replaces_at_once_may_still_decide_the_queue(tmp_path, up, but):
    (tmp_path / "t.csv").write_text("time (s),rate (mbit)\n0,5\n1,2\n")
    (found,) = told(tmp_path, up={"trace": "t.csv", **up})
    assert found.endswith(f"replaces it at 0 s{but}")


def test_what_a_trace_replaces_of_a_profile_is_not_told(tmp_path):
    (tmp_path / "t.csv").write_text("time (s),rate (mbit)\n0,5\n1,2\n")
    assert told(tmp_path, profile="wifi_lossy", up={"trace": "t.csv"}) == []


def test_a_link_that_no_handover_leads_to_is_told_and_all_of_it_stands_in_the_plan():
    names = ("radio", "radio_2", "between")
    raw = {**copy.deepcopy(BASE), "topology": "handover", "links": {name: {} for name in names}}
    (point,) = check_scenario(raw, "s.yaml").every_point()
    unused = "links.radio_2 has no effect: no handover leads to it"
    assert prepare(point, "relay").warnings == [unused]
    raw["handovers"] = [{"at": "5s", "to": "radio_2"}]
    assert check_scenario(raw, "s.yaml").idle() == []
