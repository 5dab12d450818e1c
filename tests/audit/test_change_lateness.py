"""Changes and handovers that came late make a run suspect; all are written down."""

import json

from testbed.audit.change_records import write_changes, write_handovers
from testbed.audit.checks.change_lateness import ChangeLateness
from testbed.audit.checks.handover_lateness import HandoverLateness
from testbed.links.handovers import Handover
from testbed.links.schedule_cursor import Applied
from tests.support.evidence import run_evidence


def judged(check, **evidence) -> list[str]:
    return list(check().judge(run_evidence(**evidence)))


ON_TIME, LATE = Applied(5.0, 5.002), Applied(9.0, 9.0123)


def test_what_is_late_is_said():
    for applied in ([], [ON_TIME]):
        assert judged(ChangeLateness, changes={"radio": applied}) == []
        assert judged(HandoverLateness, handovers=applied) == []
    both, late = [ON_TIME, LATE], "came over 12.3 ms late (limit 10 ms)"
    assert judged(ChangeLateness, changes={"backhaul": [ON_TIME], "radio": both}) == [
        f"dsd-0: link radio: 1 % of its changes {late}"
    ]
    assert judged(HandoverLateness, handovers=both) == [f"dsd-0: 1 % of the handovers {late}"]


def test_what_was_made_is_written(tmp_path):
    write_changes(tmp_path / "changes.radio.jsonl", [ON_TIME])
    write_handovers(tmp_path / "handovers.jsonl", [(Handover(2.0, "radio_2"), ON_TIME)])
    (change,) = (tmp_path / "changes.radio.jsonl").read_text().splitlines()
    (handover,) = (tmp_path / "handovers.jsonl").read_text().splitlines()
    assert json.loads(change) == {"scheduled": 5 * 10**9, "applied": 5_002_000_000}
    assert json.loads(handover) == {**json.loads(change), "to": "radio_2"}
