"""A real run on a small disk, whose output nobody reads."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from testbed.results.directory import Results
from testbed.scenario.run_order import shuffled
from tests.emulation.inside import need_sandbox
from tests.support.whole_run import write

SESSION = """
set -e
mount -t tmpfs -o size=256k tmpfs "$OUT"
# Whoever reads the first line goes after it.
$TESTBED run "$SCENARIO" --out "$OUT" 2> "$KEPT/errors" | head -1 > "$KEPT/said"
cp -r "$OUT"/* "$KEPT/full"
mount -o remount,size=8m "$OUT"
$TESTBED run --resume "$OUT"/* > "$KEPT/resumed" 2>&1 || test $? = 3
cp -r "$OUT"/* "$KEPT/whole"
"""


@pytest.mark.parallel
@pytest.mark.emulation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_takes_no_method_along_but_the_one_that_filled_it(tmp_path):
    need_sandbox()
    methods = ["dssd", "device_only"]
    seed = next(n for n in count() if shuffled(methods, 1, n, {})[0].method == "dssd")
    scenario = write(
        tmp_path, methods=methods, seed=seed, backend="relay",
        decoding={"temperature": 1.0, "max_new_tokens": 400},
    )  # fmt: skip
    for name in ("out", "kept"):
        (tmp_path / name).mkdir()
    subprocess.run(
        ["unshare", "--mount", "bash", "-c", SESSION],
        env={
            **os.environ,
            "TESTBED": f"{sys.executable} -m testbed",
            "SCENARIO": str(scenario),
            "OUT": str(tmp_path / "out"),
            "KEPT": str(tmp_path / "kept"),
            "PYTHONIOENCODING": "ascii",
        },
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    kept = tmp_path / "kept"
    errors = (kept / "errors").read_text()
    assert "Traceback" not in errors + (kept / "resumed").read_text()
    assert "dssd failed: " in errors
    assert "no space is left on the device; free some" in errors
    assert (kept / "said").read_text().startswith("synthetic: links by relay, results in ")
    full, whole = Results(kept / "full"), Results(kept / "whole")
    assert [row.method for row in full.summary().rows] == ["device_only"]
    assert full.verdict().level == "invalid"
    assert "dssd failed: " in full.verdict().reasons[0]
    assert "no space is left on the device; free some" in full.verdict().reasons[0]
    assert [row.method for row in whole.summary().rows] == methods
    assert full.summary().rows[0] == whole.summary().rows[1]
    assert not any("failed" in reason for reason in whole.verdict().reasons)
