"""Policies are found by their files, and are what `draft_length` may name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import testbed.drafting as package
from testbed.cli import main
from testbed.drafting.base import Policy, PolicyOptions
from testbed.drafting.policies import policies
from testbed.drafting.resolution import ChoosingOptions

NOT_POLICIES = {"__init__", "base", "fixed", "link_estimator", "policies", "resolution"}


def test_every_file_is_a_policy_of_that_name():
    files = {path.stem for path in Path(package.__file__).parent.glob("*.py")}
    found = policies(Policy)
    assert set(found) == files - NOT_POLICIES >= {"bit_budget", "qs_model"}
    assert list(found) == sorted(found)
    assert found == policies(PolicyOptions) | policies(ChoosingOptions)
    for name, kind in found.items():
        assert kind.__module__ == f"testbed.drafting.{name}"
        assert kind.summary
        assert "\n" not in kind.summary
        assert kind.paper


def test_the_command_lists_them_with_their_options(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["testbed", "policies"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name, kind in policies(Policy).items():
        assert name in shown
        assert all(option in shown for option in kind.__struct_fields__)


POLICY = """
from testbed.drafting.base import PolicyOptions
from testbed.drafting.fixed import Fixed

class Twice(PolicyOptions, frozen=True, tag="twice"):
    summary = "twice as many drafts as it is given"
    times: int = 1

    def start(self):
        return Fixed(2 * self.times)
"""
USE = """
import sys
import testbed.drafting
testbed.drafting.__path__.append(sys.argv[1])
from testbed.errors import TestbedError
from testbed.methods.base import method_class, parse_options
for method in ("dssd", "qs"):
    kind = method_class(method)
    for policy in ({"policy": "twice", "times": 3}, {"policy": "thrice"}):
        try:
            options = parse_options(kind, {"draft_length": policy}, "x")
            print(kind(options, 50).draft_length())
        except TestbedError as error:
            print(error)
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Return the lines printed by a process with one file more among its policies."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "twice.py").write_text(POLICY)
    command = [sys.executable, "-c", USE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_new_file_is_all_that_a_new_policy_needs(used):
    assert used[0] == used[2] == "Fixed(length=6)"


def test_an_unknown_policy_lists_the_known_ones_and_the_new_one(used):
    general = ["bit_budget", "confidence", "heuristic", "lambert", "twice", "ucb"]
    choosing = ["qs_dqn", "qs_model"]
    for line, known in ((used[1], general), (used[3], general + choosing)):
        assert line == f"x.draft_length.policy: 'thrice': choose from {', '.join(known)}"


def test_a_policy_without_a_summary_is_not_passed_over(tmp_path):
    (tmp_path / "twice.py").write_text(POLICY.replace("summary", "sumary"))
    ended = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "testbed.drafting.twice.Twice has no summary" in ended.stderr
