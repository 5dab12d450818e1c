"""Handovers in virtual time: the path changes there and back, and nothing is lost."""

from __future__ import annotations

import pytest

from testbed.links.handovers import Handover
from testbed.links.spec import LinkSpec
from tests.simulation.streams import Stream, network, symmetric
from tests.support.handover import LINKS, NEW, OLD, PLAN, expected_arrival, schedules

EVERY, COUNT = 0.0021, 900


def mobile(plan=PLAN, links=LINKS):
    changes = schedules(links, plan)
    return network("handover", links=links, schedules=changes, handovers=plan)


def test_two_streams_across_two_handovers():
    env, built = mobile()
    streams = {
        "up": Stream(env, built, "device", "base_station"),
        "down": Stream(env, built, "base_station", "device"),
    }
    for _ in range(2):  # a run begins on the first path, wherever the last one ended
        built.restart(0)
        began = env.now
        for stream in streams.values():
            stream.arrived.clear()
            env.process(stream.send_each(COUNT, EVERY, 100))
        env.run()
        for direction, stream in streams.items():
            # After a stall the packets of both links leave at once.
            arrived = sorted(stream.arrived)
            assert [number for number, _ in arrived] == list(range(COUNT))
            expected = [expected_arrival(direction, number * EVERY) for number in range(COUNT)]
            assert [time - began for _, time in arrived] == pytest.approx(expected)
        applied = built.handovers.applied
        assert [each.scheduled - began for each in applied] == pytest.approx([0.5, 1.2])
        assert [each.applied for each in applied] == pytest.approx(
            [each.scheduled for each in applied]
        )
        assert {name: len(link.applied) for name, link in built.links.items()} == {
            "radio": 4, "radio_2": 4, "between": 0,
        }  # fmt: skip
    for link in built.links.values():
        for direction in (link.up, link.down):
            assert direction.counts.dropped.total() == 0
            assert direction.in_flight == 0


def test_packets_go_by_the_link_in_use():
    env, built = mobile()
    stream = Stream(env, built, "device", "base_station")
    built.restart(0)
    env.process(stream.send_each(COUNT, EVERY, 100))
    env.run()
    away = sum(PLAN[0].time <= number * EVERY < PLAN[1].time for number in range(COUNT))
    carried = {name: link.up.counts.received_packets for name, link in built.links.items()}
    assert carried == {"radio": COUNT - away, "radio_2": away, "between": away}


def test_a_backlog_leaves_by_the_old_link_when_the_stall_is_over():
    links = {**LINKS, "radio": symmetric(rate=1e6, delay=0.005)}
    env, built = mobile([Handover(0.1, "radio_2", 0.05)], links)
    stream = Stream(env, built, "device", "base_station")
    built.restart(0)
    sending = 1514 * 8 / 1e6

    def send():
        yield env.timeout(0.08)
        for number in range(4):
            stream.send(number)
        yield env.timeout(0.1)
        stream.send(4)

    env.process(send())
    env.run()
    # One left before the handover and one was half sent; the rest goes on after the stall.
    left = [0.08 + sending] + [0.13 + number * sending for number in (2, 3, 4)]
    expected = {number: time + 0.005 for number, time in enumerate(left)} | {4: 0.18 + NEW}
    assert dict(stream.arrived) == pytest.approx(expected)


def test_before_a_run_the_device_is_on_its_first_link():
    env, built = mobile([Handover(0.05, "radio_2")])
    stream = Stream(env, built, "device", "base_station")
    built.restart(0)
    env.run(until=0.1)
    stream.send(0)
    built.reset()
    stream.send(1)
    env.run()
    assert dict(stream.arrived) == pytest.approx({0: 0.1 + NEW, 1: 0.1 + OLD})
    assert built.handovers.applied == []
    assert built.links["radio"].up.spec == LinkSpec(delay=OLD)
