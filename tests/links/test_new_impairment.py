"""A new impairment is one file: scenarios know its key, packets meet it, netem refuses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from testbed.links import impairments as package
from testbed.links.impairments.base import impairments
from testbed.links.spec import LinkSpec

TRUNCATE = '''
from testbed.links.impairments.base import ArrivalImpairment
from testbed.links.keyed_random import KeyedUniform

class Truncation(ArrivalImpairment):
    """Truncates packets."""

    key = "truncate"
    summary = "probability that all behind the Ethernet header is lost"
    position = 25

    def __init__(self, key):
        self._uniform = KeyedUniform(key, "truncate")

    def arrive(self, packet, value):
        cut = self._uniform(packet.number) < value
        return [packet._replace(frame=packet.frame[:14]) if cut else packet]
'''

USE = """
import json, sys
import testbed.links.impairments as package
package.__path__.append(sys.argv[1])
from testbed.emulation.backend import choose_backend
from testbed.errors import TestbedError
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.scenario.load import check_scenario

def check(truncate):
    return check_scenario({
        "name": "new",
        "topology": "edge",
        "verifier": "base_station",
        "links": {"radio": {"up": {"truncate": truncate, "loss": "10%"}}},
        "models": {"synthetic": {"vocabulary_size": 100, "acceptance": 0.8}},
        "methods": ["dssd"],
        "prompts": ["one"],
    }, "s.yaml")

def refusal(act, *arguments):
    try:
        act(*arguments)
    except TestbedError as error:
        return str(error)

scenario = check("50%")
line = Pipeline(scenario.links["radio"].up, RandomKey(1, "radio", "up"))
for number in range(1000):
    line.arrive(number, bytes(100))
left = []
while (departure := line.leave(1e9)) is not None:
    left.append(len(departure.packet.frame))
print(json.dumps({
    "written": scenario.to_mapping()["links"]["radio"]["up"],
    "sizes": {size: left.count(size) for size in set(left)},
    "mistake": refusal(check, "200%"),
    "netem": refusal(choose_backend, "netem", scenario.netem_refusals()),
    "auto": choose_backend("auto", scenario.netem_refusals()),
}))
"""


def test_every_file_has_a_key_of_links_and_packets_meet_them_in_their_order():
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    assert {kind.__module__.rpartition(".")[2] for kind in impairments()} == files - {
        "__init__",
        "base",
    }
    assert [kind.key for kind in impairments()] == ["loss", "corrupt", "duplicate", "reorder"]
    assert {kind.key for kind in impairments()} < set(LinkSpec().to_mapping())


def test_a_new_file_is_all_that_a_new_impairment_needs(tmp_path):
    (tmp_path / "truncate.py").write_text(TRUNCATE)
    run = [sys.executable, "-c", USE, str(tmp_path)]
    found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert list(found["written"])[-2:] == ["mtu", "truncate"]
    assert found["written"]["truncate"] == "50%"
    assert found["sizes"].keys() == {"14", "100"}
    assert 0.4 < found["sizes"]["14"] / sum(found["sizes"].values()) < 0.6
    assert found["mistake"].startswith("s.yaml: links.radio.up.truncate: '200%' is not a percent")
    refused = "netem cannot do links.radio: truncate (it knows none)"
    assert found["netem"] == f"{refused}; use `--backend relay`"
    assert found["auto"] == ["relay", refused]
