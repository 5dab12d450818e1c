"""Changes and handovers that came late make a run suspect; all are written down."""

import json

from testbed.audit.change_lateness import (
    judge_changes,
    judge_handovers,
    write_changes,
    write_handovers,
)
from testbed.emulation.player import Applied
from testbed.links.handovers import Handover

ON_TIME, LATE = Applied(5.0, 5.002), Applied(9.0, 9.0123)


def test_what_is_late_is_said():
    assert judge_changes("radio", [ON_TIME]) == judge_handovers([ON_TIME]) == []
    assert judge_changes("radio", []) == judge_handovers([]) == []
    late = "came over 12.3 ms late (limit 10 ms)"
    assert judge_changes("radio", [ON_TIME, LATE]) == [f"link radio: 1 % of its changes {late}"]
    assert judge_handovers([ON_TIME, LATE]) == [f"1 % of the handovers {late}"]


def test_what_was_made_is_written(tmp_path):
    write_changes(tmp_path / "changes.radio.jsonl", [ON_TIME])
    write_handovers(tmp_path / "handovers.jsonl", [(Handover(2.0, "radio_2"), ON_TIME)])
    (change,) = (tmp_path / "changes.radio.jsonl").read_text().splitlines()
    (handover,) = (tmp_path / "handovers.jsonl").read_text().splitlines()
    assert json.loads(change) == {"scheduled": 5 * 10**9, "applied": 5_002_000_000}
    assert json.loads(handover) == {**json.loads(change), "to": "radio_2"}
