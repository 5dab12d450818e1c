"""Schedules: how scenarios write them, and the moments that result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec

BASE = Duplex(LinkSpec(rate=10e6, delay=0.02), LinkSpec(rate=20e6, delay=0.02))


def moments(*changes, **traces):
    return read_schedule(BASE, "run", changes, traces, "links.radio").moments


def told(*changes, key):
    return [(m.time, getattr(m.up, key), getattr(m.down, key)) for m in moments(*changes)]


def test_a_step_changes_what_it_names_and_nothing_else():
    (only,) = moments({"at": "5s", "up": {"rate": "2mbit"}})
    assert (only.time, only.held) == (5.0, False)
    assert only.up == LinkSpec(rate=2e6, delay=0.02, queue=BASE.up.queue)
    assert only.down == BASE.down


def test_steps_add_up():
    rates = told(
        {"at": "1s", "up": {"rate": "2mbit"}},
        {"at": "2s", "up": {"delay": "1ms"}, "down": {"rate": "3mbit"}},
        key="rate",
    )
    assert rates == [(1.0, 2e6, 20e6), (2.0, 2e6, 3e6)]


def test_a_ramp_is_a_staircase_from_what_was_to_what_is_asked():
    found = told({"at": "1s", "over": "100ms", "up": {"rate": "5mbit"}}, key="rate")
    assert [time for time, _, _ in found] == pytest.approx([1.02, 1.04, 1.06, 1.08, 1.1])
    assert [up for _, up, _ in found] == pytest.approx([9e6, 8e6, 7e6, 6e6, 5e6])
    assert found[-1][1] == 5e6


def test_an_outage_loses_everything_and_ends():
    found = told({"at": "1s", "outage": "500ms"}, key="loss")
    assert found == [(1.0, 1.0, 1.0), (1.5, 0.0, 0.0)]


def test_a_flap_is_outages_again_and_again():
    found = told({"at": "1s", "flap": {"down": "100ms", "up": "400ms", "times": 2}}, key="loss")
    assert [(time, up) for time, up, _ in found] == [(1.0, 1), (1.1, 0), (1.5, 1), (1.6, 0)]


def test_a_handover_holds_and_then_steps():
    first, second = moments({"at": "1s", "handover": "80ms", "up": {"rate": "2mbit"}})
    assert (first.time, first.held, first.up) == (1.0, True, BASE.up)
    assert (second.time, second.held, second.up.rate) == (1.08, False, 2e6)


def test_a_trace_sets_each_row_and_may_be_interrupted(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("time (s),rate (mbit),delay (ms),loss\n0,8,30,1%\n0.5,4,50,0%\n")
    found = moments({"at": "0.2s", "outage": "100ms"}, up=str(path))
    assert [m.time for m in found] == pytest.approx([0.0, 0.2, 0.3, 0.5])
    assert [(m.up.rate, m.up.delay, m.up.loss) for m in found] == [
        (8e6, 0.03, 0.01),
        (8e6, 0.03, 1.0),
        (8e6, 0.03, 0.01),
        (4e6, 0.05, 0.0),
    ]
    assert {m.down.rate for m in found} == {20e6}


LATE = "time (s),rate (mbit)\n45296,8\n45297,4\n"


def test_a_trace_that_begins_late_needs_to_say_what_holds_before(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(LATE)
    with pytest.raises(TestbedError) as caught:
        moments(up=str(path))
    assert str(caught.value) == (
        f"links.radio.up.trace: {path}, line 2: the first row is at 45296s, and nothing says what "
        "holds before; times count from 0 s, so take the first row's time off all rows, or give "
        "links.radio.up.rate"
    )
    given = {"up": ["rate"]}
    found = read_schedule(BASE, "run", [], {"up": str(path)}, "links.radio", given=given)
    assert [m.time for m in found.moments] == [45296, 45297]
    assert found.rows_until == (("up", 45297),)


def test_a_row_that_no_link_can_have_is_named_with_its_line(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("time (s),delay (ms)\n0,50\n1,20\n")
    base = Duplex(LinkSpec(delay=0.03, jitter=0.03), BASE.down)
    with pytest.raises(TestbedError, match=r"trace\.csv, line 3: jitter: it must not be more than"):
        read_schedule(base, "run", [], {"up": str(path)}, "links.radio")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{"up": {"rate": "1mbit"}}], "changes[0].at: this key is missing"),
        ([{"at": "1s"}], "changes[0]: nothing changes; give up, down, over, outage,"),
        ([{"at": "1s", "up": {}}], "changes[0].up: a mapping of what changes is needed"),
        ([{"at": "1s", "up": {"speed": "1"}}], "changes[0].up.speed: unknown key; allowed are"),
        ([{"at": "1s", "up": {"mtu": "1KB"}}], "changes[0].up.mtu: it cannot change while"),
        ([{"at": "1s", "outage": "0s"}], "changes[0].outage: '0s' is too short"),
        ([{"at": "1s", "over": "1s"}], "changes[0].over: nothing changes; give up or down"),
        (
            [{"at": "1s", "outage": "1s", "up": {"rate": "1mbit"}}],
            "changes[0].up: it cannot go with outage; make two changes",
        ),
        (
            [{"at": "1s", "outage": "1s", "handover": "1s"}],
            "changes[0].handover: it cannot go with outage",
        ),
        (
            [{"at": "1s", "over": "1s", "up": {"rate": "unlimited"}}],
            "changes[0].up.rate: a ramp needs plain numbers at both ends",
        ),
        (
            [{"at": "1s", "outage": "2s"}, {"at": "2s", "outage": "1s"}],
            "changes[1].at: 2s comes before the end of the change above it, 3s",
        ),
        ([{"at": "1s", "flap": {"down": "1s", "up": "1s"}}], "changes[0].flap.times: this key"),
        (
            [{"at": "1s", "down": {"delay": "0", "jitter": "1ms"}}],
            "changes[0].down.jitter: it must not",
        ),
        (
            [{"at": "1s", "up": {"loss": {"mean": "1%"}}}],
            "changes[0].up.loss.burst: this key is missing",
        ),
        ([{"at": "1s", "flap": "5s"}], "changes[0].flap: '5s': expected `mapping`, got `str`"),
        (["x"], "changes[0]: a change is a mapping"),
    ],
)
def test_what_cannot_be_scheduled_is_named(changes, said):
    with pytest.raises(TestbedError) as caught:
        moments(*changes)
    assert str(caught.value).startswith(f"links.radio.{said}")


def test_a_direction_does_not_follow_two_masters(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("time,rate\n0s,1mbit\n")
    with pytest.raises(TestbedError, match=r"changes\[0\]\.up: this direction follows a trace"):
        moments({"at": "1s", "up": {"rate": "1mbit"}}, up=str(path))


def test_a_trace_that_never_lets_anything_pass_is_refused(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("time (s),rate (mbit)\n0,0\n1,0.0\n")
    with pytest.raises(TestbedError, match=r"up\.trace: .*csv: its rate is 0 in every row; give"):
        moments(up=str(path))
    path.write_text("time (s),rate (mbit)\n0,0\n1,5\n")
    assert moments(up=str(path))


def test_the_start_is_one_of_two():
    assert read_schedule(BASE, "first_packet", [], {}, "x").on_first_packet
    with pytest.raises(TestbedError, match=r"x\.start: 'now' is not a start; choose from run"):
        read_schedule(BASE, "now", [], {}, "x")


SPECS = st.builds(
    lambda rate, delay, held: (LinkSpec(rate=rate, delay=delay, queue=10**9), held),
    st.none() | st.sampled_from([1e5, 1e6, 1e7]),
    st.sampled_from([0.0, 0.001, 0.05]),
    st.booleans(),
)


@given(st.lists(st.tuples(st.floats(0, 0.01), st.none() | SPECS), max_size=60))
def test_no_change_loses_or_reorders_a_packet(steps):
    line = Pipeline(LinkSpec(queue=10**9), RandomKey(1, "radio", "up"))
    now, sent, got = 0.0, 0, []
    for pause, change in steps:
        now += pause
        if change is None:
            line.arrive(now, sent.to_bytes(100, "big"))
            sent += 1
        else:
            line.change(now, change[0], held=change[1])
        while (departure := line.leave(now)) is not None:
            got.append(departure.packet.number)
    line.change(now, line.spec)  # no longer held
    while (departure := line.leave(float("inf"))) is not None:
        got.append(departure.packet.number)
    assert got == list(range(sent))


DEAD = {"at": "0s", "up": {"rate": "0"}}


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ([], (10e6, 20e6)),
        ([{"at": "1s", "up": {"rate": "2mbit"}}], (10e6, 20e6)),
        ([{"at": "0s", "up": {"rate": "2mbit"}}], (2e6, 20e6)),
        ([DEAD, {"at": "1s", "up": {"rate": "2mbit"}}], (2e6, 20e6)),
        ([{"at": "0s", "outage": "1s"}, {"at": "2s", "up": {"rate": "2mbit"}}], (10e6, 20e6)),
        ([{"at": "0s", "handover": "1s", "down": {"rate": "2mbit"}}], (10e6, 20e6)),
        ([DEAD], (10e6, 20e6)),
    ],
)
def test_a_link_opens_with_what_first_lets_packets_pass(changes, rates):
    opening = read_schedule(BASE, "run", changes, {}, "links.radio").opening(BASE)
    assert (opening.up.rate, opening.down.rate) == rates
    assert (opening.up.loss, opening.down.loss) == (0, 0)
