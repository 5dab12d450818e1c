"""The version is written in testbed/__init__.py; what must repeat it says the same."""

from __future__ import annotations

from configparser import ConfigParser

import yaml

import testbed
from tests.support.whole_run import ROOT


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == testbed.__version__
    assert citation["license"] == config["metadata"]["license"]
    assert config["metadata"]["version"] == "attr: testbed.__version__"
