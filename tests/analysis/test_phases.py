"""Phases: each moment of a round has one, and the links' bound is separate from delays beyond."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.analysis.phases import BOUND, PHASES, round_times
from testbed.analysis.prediction import Hop, Route

MS = 10**6
ROUTE = Route((Hop(1e6, 0.02),), (Hop(2e6, 0.03),))


def at(name, begin, end=None, **fields):
    event = {"event": name, "t": begin * MS, **fields}
    return event if end is None else {**event, "dur": (end - begin) * MS}


def sent(message, t, number=0, size=434):  # 500 B on the link: 4 ms up, 2 ms down
    return at("send", t, message=message, round=number, bytes=size)


def got(message, t, number=0):
    return at("receive", t, message=message, round=number)


DEVICE = [
    at("draft", 0, 40, round=0), at("encode", 41, 43, round=0), sent("Round", 43),
    got("Reply", 150), at("decode", 150, 155, round=0), at("resample", 155, 157),
    at("commit", 158, round=0),
]  # fmt: skip
VERIFIER = [
    at("prefill", 10, 30), got("Round", 70), at("verify", 70, 110, round=0),
    at("decode", 71, 74, round=0), at("encode", 105, 109, round=0), sent("Reply", 112),
]  # fmt: skip


def test_a_round_is_split_into_its_phases():
    (found,) = round_times(DEVICE, VERIFIER, 0, ROUTE, lambda flight: 0.001)
    assert found.seconds == pytest.approx(0.158)
    assert found.phases == pytest.approx(
        {
            "draft": 0.040, "encode": 0.002 + 0.004, "verify": 0.040 - 0.007,
            "decode": 0.003 + 0.005 + 0.002, "serialisation": 0.004 + 0.002,
            "propagation": 0.050, "loss_recovery": 0.002,
            "queue": (0.027 - 0.025) + (0.038 - 0.033), "other": 0.001 + 0.002 + 0.001,
        }
    )  # fmt: skip
    assert set(found.phases) == set(PHASES)


def test_what_was_asked_for_anyway_is_no_recovery():
    (found,) = round_times(DEVICE, VERIFIER, 0, ROUTE, lambda flight: 0.02)
    assert found.phases["loss_recovery"] == pytest.approx((0.027 - 0.024) + (0.038 - 0.032))
    assert found.phases["queue"] == pytest.approx(0)
    assert found.phases["propagation"] == pytest.approx(0.05)


def test_what_the_device_does_meanwhile_is_not_waited_for():
    busy = [*DEVICE, at("draft", 50, 90, round=1)]
    (plain,), (found,) = (round_times(d, VERIFIER, 0, ROUTE, None) for d in (DEVICE, busy))
    assert found.phases["draft"] == pytest.approx(0.080)
    assert found.phases["verify"] == pytest.approx(plain.phases["verify"] - 0.017)
    # Of 27 ms under way 7 were waited for; the parts keep their shares.
    assert found.phases["serialisation"] == pytest.approx(0.004 * 7 / 27 + 0.002)
    assert sum(found.phases.values()) == pytest.approx(found.seconds)


def test_rounds_follow_each_other_without_gaps():
    later = [{**event, "t": event["t"] + 200 * MS, "round": 1} for event in DEVICE]
    answers = [{**event, "t": event["t"] + 200 * MS, "round": 1} for event in VERIFIER]
    early = at("commit", 120, round=0)  # a part of the round's tokens
    rounds = round_times(
        [early, *DEVICE, *later], [*VERIFIER, *answers], 0, ROUTE, lambda flight: 0.0
    )
    assert [each.round for each in rounds] == [0, 1]
    assert [each.seconds for each in rounds] == pytest.approx([0.158, 0.2])
    assert rounds[1].phases["other"] == pytest.approx(rounds[0].phases["other"] + 0.042)


def test_nothing_is_told_where_links_change():
    (found,) = round_times(DEVICE, VERIFIER, 0, None, None)
    assert found.seconds == pytest.approx(0.158)
    assert found.phases == {}


spans = st.lists(
    st.tuples(
        st.sampled_from(["draft", "encode", "decode", "resample", "verify", "prefill"]),
        st.integers(0, 200),
        st.integers(0, 80),
    ),
    max_size=12,
)
flights = st.lists(st.tuples(st.integers(0, 150), st.integers(0, 100)), max_size=6)


@settings(deadline=None)
@given(device=spans, verifier=spans, up=flights, down=flights)
def test_phases_sum_up_to_the_round_whatever_happened(device, verifier, up, down):
    mine = [at(name, begin, begin + length) for name, begin, length in device]
    its = [at(name, begin, begin + length) for name, begin, length in verifier]
    for number, (t, length) in enumerate(up):
        mine.append(sent("Round", t, number))
        its.append(got("Round", t + length, number))
    for number, (t, length) in enumerate(down):
        its.append(sent("Reply", t, number))
        mine.append(got("Reply", t + length, number))
    (found,) = round_times([*mine, at("commit", 210, round=0)], its, 0, ROUTE, None)
    assert sum(found.phases.values()) == pytest.approx(0.21)
    assert all(found.phases[phase] >= 0 for phase in BOUND)
    assert found.phases["other"] >= -1e-9


@pytest.mark.parametrize(
    ("size", "up", "seconds"),
    [
        (100, ((1e6, 0.0),), 8 * 166 / 1e6),
        (1449, ((1e6, 0.0),), 8 * (1449 + 132) / 1e6),
        (14480, ((1e6, 0.0), (1e7, 0.0)), 8 * (14480 + 660) / 1e6 + 8 * 1514 / 1e7),
        (100, ((float("inf"), 0.0),), 0.0),
        (100, (), 0.0),
    ],
)
def test_a_message_takes_what_its_frames_take(size, up, seconds):
    route = Route(tuple(Hop(*hop) for hop in up), ())
    assert route.on_air("up", size) == pytest.approx(seconds)
