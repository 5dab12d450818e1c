"""A policy learns of each round exactly what was sent and received."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from testbed.drafting.fixed import Fixed
from testbed.methods import base
from tests.support.toy import ToyModel, decode_locally, task

V, B_ID, B_P = 12, 4, 16


class Listening(Fixed):
    """Keeps the outcomes that it learns from."""

    def learn(self, outcome):
        self.told.append(outcome)


@pytest.mark.parametrize(
    ("method", "draft_bits", "catch_up"), [("dsd", B_ID + V * B_P, 0), ("dssd", B_ID + B_P, B_ID)]
)
def test_outcomes(method, draft_bits, catch_up):
    told = []
    Listening.told = told
    with patch.object(base, "start_policy", Listening):
        got = decode_locally(task(method, 40, draft_length=3), ToyModel(V, 1), ToyModel(V, 2))
    assert len(told) == got.counts.rounds
    assert sum(each.drafted for each in told) == got.counts.drafted
    assert sum(each.accepted for each in told) == got.counts.accepted
    assert sum(each.verified for each in told) == got.counts.verified
    for before, each in zip([None, *told], told, strict=False):
        late = catch_up if before and before.accepted < before.drafted else 0
        assert each.uplink_payload_bits == each.drafted * draft_bits + late
        assert each.uplink_bytes * 8 > each.uplink_payload_bits
        assert each.downlink_bytes > 0
        assert each.wait_s >= each.verifier_s > 0
        assert each.draft_s > 0
    opening = got.traffic.up_payload_bits - sum(each.uplink_payload_bits for each in told)
    assert opening == 2 * B_ID  # the prompt
    assert sum(each.uplink_bytes for each in told) < got.traffic.up_bytes
