"""Simulated runs of real methods: what they must share with all others, and their time."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from msgspec.structs import replace

from testbed.errors import TestbedError
from testbed.links.spec import Duplex, LinkSpec
from testbed.methods.base import methods
from testbed.methods.device_context import DeviceContext
from testbed.models.compute.pace import Pace
from testbed.protocol.channel import LinkTimeout
from testbed.simulation.costs import PACE, record
from testbed.simulation.overhead import HostOverhead
from testbed.simulation.point_simulation import PointSettings, PointSimulation
from testbed.topology.declarations import load_topology
from tests.support.toy import PROMPT, ToySession, decode_locally, similar_models, task

V = 12
DRAFT, TARGET = Pace(5e-3, 1e-3), Pace(30e-3, 1e-3)


class Flat(dict):
    """Costs in which each piece of work takes the same time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __contains__(self, kind) -> bool:
        return True

    def get(self, kind, default=None) -> float:
        return self.seconds


NOTHING = {"device": Flat(0.0), "verifier": Flat(0.0)}
"""Costs of nodes that compute nothing but passes."""
RATE, DELAY = 2e6, 0.02


def link(**fields) -> Duplex:
    spec = LinkSpec(**{"rate": RATE, "delay": DELAY, **fields})
    return Duplex(spec, spec)


def simulation(duplex=None, devices=1, costs=NOTHING, overhead=(0.0, 0.0), **changes):
    draft, target = similar_models(V)
    topology = "edge" if devices == 1 else "cell"
    names = ["device"] if devices == 1 else [f"device{i}" for i in range(1, devices + 1)]
    settings = {
        "topology": load_topology(topology, devices),
        "links": {"radio": duplex or link()},
        "schedules": {},
        "handovers": [],
        "seed": 1,
        "verifier": "base_station",
        "devices": dict.fromkeys(names, "base_station over link radio"),
        "draft": draft,
        "target": target,
        "paces": {"draft": DRAFT, "target": TARGET},
        "congestion_control": "cubic",
        "timeout": 5.0,
        "overhead": HostOverhead(*overhead, "a test"),
        **changes,
    }
    return PointSimulation(PointSettings(**settings), {"it": costs}, "a test")


def decode(simulated, *tasks, repetition=0):
    """Decode one prompt on each device, by its task."""
    uses_verifier = methods()[tasks[0].method].uses_verifier
    run = simulated.begin("it", repetition, uses_verifier=uses_verifier)
    names = list(simulated._settings.devices)
    requests = dict(zip(names, tasks, strict=True))
    return run, run.decode(requests, PROMPT, lambda tokens, seconds: None)


@pytest.mark.parametrize("method", methods())
def test_tokens_counts_and_traffic_are_those_of_any_other_driver(method):
    the_task = task(method, 20)
    wanted = decode_locally(the_task, *similar_models(V))
    for duplex in (link(), link(loss=0.05)):
        _, decoded = decode(simulation(duplex), the_task)
        got = decoded.results["device"]
        assert got.tokens == wanted.tokens
        assert got.counts == wanted.counts
        assert replace(got.traffic, verifier_s=0) == replace(wanted.traffic, verifier_s=0)


def test_the_same_run_again_is_the_same_to_the_last_digit():
    for duplex in (link(), link(loss=0.05)):
        first, second = (decode(simulation(duplex), task("dsd", 40))[1] for _ in range(2))
        assert first.results == second.results
        assert first.events == second.events
        assert first.after == second.after


def test_repetitions_lose_other_packets():
    runs = [decode(simulation(link(loss=0.1)), task("dsd", 40), repetition=i)[1] for i in (0, 1)]
    assert runs[0].results["device"].times != runs[1].results["device"].times


def test_a_round_takes_what_passes_and_links_take():
    """Without loss and own work: 4 passes of the draft, 1 of the target, 2 messages, no more."""
    _, decoded = decode(simulation(), task("dssd", 40, draft_length=4))
    events = decoded.events["device"]
    ends = [event["t"] for event in events if event["event"] == "commit"]
    passes = {node: [e for e in decoded.events[node] if e["event"] == "forward"]
              for node in ("device", "base_station")}  # fmt: skip
    assert all(
        e["dur"] == pytest.approx(1e9 * DRAFT.seconds(e["tokens"])) for e in passes["device"]
    )
    begin, end = ends[1], ends[-2]
    computed = sum(e["dur"] for each in passes.values() for e in each if begin <= e["t"] < end)
    rounds = len(ends) - 3
    beyond = (end - begin - computed) / 1e9 / rounds - 2 * DELAY
    assert 0 < beyond < 2 * 200 * 8 / RATE  # two short frames on the air


def test_own_work_and_hosts_take_their_time():
    costs = {"device": Flat(1e-3), "verifier": Flat(1e-3)}
    plain, worked, carried = (
        decode(simulation(**more), task("dssd", 40, draft_length=4))[1].results["device"]
        for more in ({}, {"costs": costs}, {"overhead": (2e-3, 3e-3)})
    )
    assert worked.tokens == plain.tokens == carried.tokens
    assert worked.times[-1] > plain.times[-1] + 5e-3 * plain.counts.rounds
    extra = (carried.times[-1] - plain.times[-1]) / plain.counts.rounds
    assert extra == pytest.approx(2 * 5e-3, rel=0.1)


def test_what_was_not_recorded_is_charged_and_named():
    simulated = simulation(costs={"device": {}, "verifier": {}})
    decode(simulated, task("dssd", 10))
    unknown = simulated.state()["costs"]["not_recorded"]
    assert "device encode" in unknown
    assert "verifier Pass Answer" in unknown


def test_runs_agree_to_the_last_digit_with_work_that_was_not_recorded():
    some = {"device": {"encode": 2e-3}, "verifier": {"decode": 1e-3}}
    first, second = (decode(simulation(costs=some), task("dssd", 20))[1] for _ in range(2))
    assert first.events == second.events


def test_recorded_costs_name_all_work():
    the_task = task("dssd", 24)
    costs = record(the_task, PROMPT, *similar_models(V))
    assert set(costs) == {"device", "verifier"}
    simulated = simulation(costs=costs)
    decode(simulated, the_task)
    assert simulated.state()["costs"]["not_recorded"] == []
    assert all(0 < seconds < 0.1 for each in costs.values() for seconds in each.values())


def test_how_long_models_compute_is_no_lateness_of_their_passes(monkeypatch):
    """Models with weights may take longer than any pace: virtual time stands for it."""
    extend = ToySession.extend

    def slowly(*arguments):
        time.sleep(2 * PACE.per_pass)
        return extend(*arguments)

    monkeypatch.setattr(ToySession, "extend", slowly)
    costs = record(task("dssd", 4), PROMPT, *similar_models(V))
    assert all(each["late"] < PACE.per_pass / 2 for each in costs.values())


def test_devices_of_a_cell_wait_for_each_other_at_the_verifier():
    tasks = [replace(task("dssd", 20), stream=f"device{i}/0") for i in range(1, 5)]
    _, decoded = decode(simulation(link(rate=1e8), devices=4), *tasks)
    spans = sorted(
        (event["t"], event["t"] + event["dur"])
        for event in decoded.events["base_station"]
        if event["event"] == "forward"
    )
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))
    for each, name in zip(tasks, decoded.results, strict=True):
        wanted = decode_locally(each, *similar_models(V))
        assert decoded.results[name].tokens == wanted.tokens


def test_a_link_that_stands_still_is_a_timeout_that_names_it():
    simulated = simulation(timeout=2.0)
    run = simulated.begin("it", 0, uses_verifier=True)
    run._network.links["radio"].up.change(LinkSpec(rate=0.0))
    with pytest.raises(
        TestbedError, match=r"^device: base_station over link radio did not answer round 0"
    ):
        run.decode({"device": task("dsd", 5)}, PROMPT, lambda tokens, seconds: None)


def test_a_link_over_which_nobody_connects_is_a_timeout_that_names_it():
    simulated = simulation(link(loss=1.0), timeout=2.0)
    with pytest.raises(
        LinkTimeout, match=r"^device: base_station over link radio did not answer within 2 s"
    ):
        simulated.begin("it", 0, uses_verifier=True)


def test_a_fault_of_a_device_ends_its_generation_with_its_name(monkeypatch):
    def damaged(*_):
        raise ValueError("the answer ends early")

    monkeypatch.setattr(DeviceContext, "decoding", damaged)
    tasks = [replace(task("dssd", 5), stream=f"device{i}/0") for i in (1, 2)]
    with pytest.raises(TestbedError, match=r"^device1: the answer ends early"):
        decode(simulation(devices=2), *tasks)


def test_several_prompts_follow_one_another_on_one_connection():
    simulated = simulation()
    run, first = decode(simulated, task("dsd", 10))
    second = run.decode(
        {"device": replace(task("dsd", 10), stream="device/1")}, PROMPT, lambda t, s: None
    )
    assert second.results["device"].start > first.results["device"].start
    assert second.before == first.after
    assert run.end().seconds > second.results["device"].times[-1]
