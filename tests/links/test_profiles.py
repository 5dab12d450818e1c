"""Profiles: every value is allowed in a link, and has a source."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed.errors import TestbedError
from testbed.links.profiles import PRESET, PROFILES, find_profile
from testbed.scenario.load import check_scenario
from tests.scenario.test_load import BASE

NAMES = [
    "3g", "lte_good", "lte_medium", "5g_nsa_low_band", "5g_nsa_mmwave", "5g_sa", "wifi_good",
    "wifi_lossy", "starlink", "geo_satellite", "fibre", "metro_backhaul",
]  # fmt: skip


def test_all_are_there():
    assert list(PROFILES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_a_link_with_a_source_for_every_figure(name):
    profile = PROFILES[name]
    duplex = profile.duplex()
    for direction, spec in ((profile.up, duplex.up), (profile.down, duplex.down)):
        assert spec.rate is not None
        assert spec.rate > 0
        assert spec.delay > 0
        assert {"rate", "delay", "jitter", "loss"} <= direction.figures().keys()
        assert all(len(figure.source) > 10 for figure in direction.figures().values())


def test_what_nobody_measured_is_called_a_preset():
    assert PROFILES["lte_good"].measured
    assert not PROFILES["wifi_good"].measured
    assert not PROFILES["starlink"].measured  # its loss is, its rates are not
    assert PROFILES["starlink"].up.rate.source == PRESET


def links(**radio):
    return {**BASE, "links": {"radio": radio}}


def test_a_scenario_names_a_profile_and_what_differs():
    scenario = check_scenario(links(profile="lte_good", up={"loss": "2%"}), "s.yaml")
    radio = scenario.links["radio"]
    assert (radio.up.rate, radio.up.loss) == (14.9e6, 0.02)
    assert radio.down == PROFILES["lte_good"].duplex().down
    mapping = scenario.to_mapping()
    assert mapping["links"]["radio"]["profile"] == "lte_good"
    assert mapping["links"]["radio"]["down"]["rate"] == "29.8mbit"
    assert check_scenario(mapping, "again.yaml").to_mapping() == mapping


def test_an_unknown_profile_is_named_with_the_known_ones():
    with pytest.raises(TestbedError, match=r"^s.yaml: links.radio.profile: 'lte' .* 3g, lte_"):
        check_scenario(links(profile="lte"), "s.yaml")
    with pytest.raises(TestbedError, match="'x' is not a profile"):
        find_profile("x", "here")


def test_the_command_lists_them_and_shows_sources():
    def call(*arguments):
        command = [sys.executable, "-m", "testbed", "profiles", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    listed = call().stdout
    assert all(name in listed for name in NAMES)
    shown = call("lte_medium").stdout
    assert "up.rate" in shown
    assert "3.5mbit" in shown
    assert "ERRANT" in shown
    assert call("nope").returncode == 1
