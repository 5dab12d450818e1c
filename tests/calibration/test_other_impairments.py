"""Calibration measures every impairment of a link, or says that it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from testbed.calibration.loss import _COUNTS, measure_others
from testbed.links.impairments.base import Sign, impairments
from testbed.links.spec import Duplex, LinkSpec
from tests.links.test_new_impairment import TRUNCATE
from tests.support.pipeline_bench import PipelineBench

OTHERS = [kind.key for kind in impairments() if kind.key != "loss"]
USE = """
import json, sys
import testbed.links.impairments as package
package.__path__.append(sys.argv[1])
from testbed.calibration.loss import measure_others
from testbed.links.spec import Duplex, LinkSpec
from tests.support.pipeline_bench import PipelineBench

checks = measure_others(PipelineBench(Duplex(LinkSpec(truncate=0.2, loss=0.5), LinkSpec())))
print(json.dumps([
    (each.link, each.direction, each.name, each.outcome, each.requested, each.note)
    for each in checks
]))
"""


def test_every_sign_is_counted():
    assert set(get_args(Sign)) == set(_COUNTS)


def test_each_impairment_of_ours_is_measured_where_a_link_has_it():
    up = LinkSpec(delay=0.02, loss=0.5, **dict.fromkeys(OTHERS, 0.03))
    checks = measure_others(PipelineBench(Duplex(up, LinkSpec(delay=0.02, reorder=0.1))))
    found = [(check.name, check.direction, check.requested) for check in checks]
    assert found == [*((name, "up", 0.03) for name in OTHERS), ("reorder", "down", 0.1)]
    for check in checks:
        assert check.outcome == "ok"
        assert check.measured == pytest.approx(check.requested, rel=0.15)


def calibrated(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Measure a link with `source` as a further impairment, in a process of its own."""
    (folder / "truncate.py").write_text(source)
    run = [sys.executable, "-c", USE, str(folder)]
    return subprocess.run(
        run, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )


def test_a_new_impairment_is_reported_as_not_measured_if_it_declares_no_sign(tmp_path):
    why = "it declares no sign (seen_as) by which packets show that it struck them"
    assert json.loads(calibrated(tmp_path, TRUNCATE).stdout) == [
        ["radio", "up", "truncate", "not measured", None, why]
    ]


def declaring(sign: str) -> str:
    return TRUNCATE.replace("position = 25", f"position = 25\n    seen_as = {sign!r}")


def test_a_new_impairment_is_measured_by_the_sign_that_it_declares(tmp_path):
    ((*where, requested, _),) = json.loads(calibrated(tmp_path, declaring("missing")).stdout)
    assert (where, requested) == (["radio", "up", "truncate", "ok"], 0.2)


def test_a_sign_that_nobody_counts_is_refused(tmp_path):
    found = calibrated(tmp_path, declaring("late"))
    assert "seen_as is 'late'; it must be one of missing, copied, early, or None" in found.stderr
