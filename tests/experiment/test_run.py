"""`testbed run` from the outside: real namespaces, real processes, real packets, no weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.metrics import TRAFFIC
from testbed.audit.packet_logs import read_packets
from testbed.calibration.load import busy
from testbed.emulation.mininet_link import namespace_of
from testbed.emulation.packet_log import PacketLine
from testbed.errors import TestbedError
from testbed.experiment.deployment import Deployment
from testbed.experiment.method_run import MethodRun
from testbed.experiment.preparation import prepare
from testbed.links.spec import LinkSpec
from testbed.models.cpu.operators import machine
from testbed.results.directory import Results
from testbed.results.plan import operator_choices, read_plans
from testbed.scenario.load import check_scenario
from tests.emulation.inside import inside_sandbox, need_sandbox
from tests.models.tiny import FAMILIES, IDS, save
from tests.support.whole_run import (
    FOUR,
    SYNTHETIC,
    command,
    hashes,
    only_busy,
    processes_of,
    results,
    run,
    write,
)


@pytest.mark.parallel
@pytest.mark.emulation
def test_one_device_decodes_64_tokens_without_torch(tmp_path):
    # A torch that cannot be imported, found first by every process of the run.
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch was imported')")
    scenario = write(tmp_path)
    run(scenario, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    (row,) = results(scenario).summary().rows
    assert row.tokens == 64
    assert row.verdict == "valid" or only_busy(scenario)


@pytest.mark.parallel
@pytest.mark.emulation
def test_results_directory_is_complete_and_self_describing(tmp_path):
    scenario = write(tmp_path, methods=FOUR, prompts=["one", "two"], repeat=2)
    done = run(scenario)
    found = results(scenario)
    rows = found.summary().rows
    assert [(r.method, r.repeat, r.prompt) for r in rows] == [
        (method, repeat, prompt) for repeat in (0, 1) for method in FOUR for prompt in (0, 1)
    ]
    assert found.verdict().level == "valid" or only_busy(scenario)
    for method in FOUR:
        assert method in done.stdout
        files = {path.name for path in found.run(method, 1).iterdir()}
        assert files == {"device.jsonl", "base_station.jsonl", "text.txt", "rounds.json"}
    environment = json.loads((found.path / "environment.json").read_bytes())
    (network,) = environment["networks"]
    for moment in ("before", "after"):
        link = network[moment]["links"]["radio"]
        assert link["up"]["rate"] == "100mbit"
        assert link["up"]["queue"]  # a default that was filled in
    again = check_scenario(found.scenario(), "scenario.yaml")
    assert again.to_mapping() == found.scenario()
    assert {p.name for p in (found.path / "figures").glob("*.png")} == {
        "speed.png", "traffic.png", "timeline.png",
    }  # fmt: skip


@pytest.mark.parallel
@pytest.mark.emulation
def test_bytes_of_every_layer_add_up(tmp_path):
    scenario = write(tmp_path, methods=FOUR)
    run(scenario)
    for row in results(scenario).summary().rows:
        if row.method == "device_only":
            assert row.uplink_wire_bytes == row.downlink_wire_bytes == 0
            continue
        for direction in TRAFFIC.values():
            payload, message, wire = (size([row]) for size in direction.values())
            assert 0 < payload <= message < wire
        assert row.links["radio"].up_bytes == row.uplink_wire_bytes
        times = row.events
        together = times.device_compute_s + times.verifier_compute_s + times.network_s
        assert 0 < together <= 2 * row.seconds


@pytest.mark.parallel
@pytest.mark.emulation
def test_the_relay_logs_every_packet_of_every_run(tmp_path):
    links = lossy("20%")
    scenario = write(tmp_path, methods=["dsd", "dssd"], links=links, backend="relay", repeat=2)
    run(scenario)
    found = results(scenario)
    assert len(found.packet_logs()) == 2 * 2 * 2
    first_lost: dict[int, list[int]] = {0: [], 1: []}
    for row in found.summary().rows:
        log = found.run(row.method, row.repeat) / "packets.radio.up.jsonl.gz"
        header, *lines, end = read_packets(log)
        assert header.spec == LinkSpec.parse(links["radio"]["up"], "").to_mapping()
        assert header.repetition == row.repeat
        packets = [line for line in lines if isinstance(line, PacketLine)]
        assert end.received == len(packets) + end.in_flight
        assert sum(line.size for line in packets) >= row.uplink_wire_bytes
        lost = [line.n for line in packets if line.dropped == "loss"]
        assert len(lost) >= row.links["radio"].up_dropped
        first_lost[row.repeat].append(lost[0])
    # Each method meets the same link from its beginning on; each repetition another one.
    assert first_lost[0][0] == first_lost[0][1] != first_lost[1][0] == first_lost[1][1]


def lossy(loss: str) -> dict:
    direction = {"rate": "20mbit", "delay": "5ms", "loss": loss}
    return {"radio": {"up": direction, "down": direction}}


@pytest.mark.parallel
@pytest.mark.emulation
def test_loss_does_not_change_the_text(tmp_path):
    same = {"precision": "fixed16", "target_precision": "fixed16"}
    methods = ["cloud_ar", {"method": "dsd", **same}, {"method": "dssd", **same}]
    texts = []
    for loss in ("0%", "10%"):
        folder = tmp_path / loss
        folder.mkdir()
        scenario = write(folder, methods=methods, links=lossy(loss))
        run(scenario)
        texts.append(hashes(results(scenario)))
        dropped = sum(row.links["radio"].up_dropped for row in results(scenario).summary().rows)
        assert (dropped > 0) == (loss == "10%")
    assert texts[0] == texts[1]
    assert texts[0]["dsd", 0] == texts[0]["dssd", 0]


class Silent:
    def update(self, tokens, seconds):
        pass


@inside_sandbox
@pytest.mark.parametrize(("method", "tokens"), [("dsd", 150), ("dssd", 150), ("cloud_ar", 3000)])
def test_a_link_cut_for_two_seconds_does_not_change_the_text(tmp_path, method, tokens):
    links = lossy("0%")
    decoding = {"temperature": 1.0, "max_new_tokens": tokens}
    scenario = check_scenario(
        {**SYNTHETIC, "methods": [method], "links": links, "decoding": decoding}, "test"
    )
    (point,) = scenario.every_point()
    plan = prepare(point, "relay")
    results = Results.create(tmp_path, "cut")
    with Deployment(scenario, plan, results) as deployment:
        entry = scenario.methods[0]
        with MethodRun(deployment, entry, 0) as running:
            (whole,) = running.decode(0, Silent())
        wire = deployment.network.wires["radio"]
        normal = wire.duplex
        cut = check_scenario({**SYNTHETIC, "links": lossy("100%")}, "test").links["radio"]

        def interrupt():
            while wire.counters().up.received_packets < before + 5:
                time.sleep(0.001)
            wire.change(cut.up, cut.down)
            time.sleep(2)
            wire.change(normal.up, normal.down)

        with MethodRun(deployment, replace(entry, label="cut"), 0) as running:
            before = wire.counters().up.received_packets
            knife = threading.Thread(target=interrupt)
            knife.start()
            (hurt,) = running.decode(0, Silent())
        knife.join()
    assert hurt.output_sha256 == whole.output_sha256
    assert max(hurt.token_s) > 1.8  # the text stood still while the link was cut
    assert hurt.links["radio"].up_dropped + hurt.links["radio"].down_dropped > 0
    assert all("busy" in reason for reason in hurt.reasons)


@pytest.mark.parallel
@pytest.mark.emulation
def test_the_verifier_may_stand_in_the_cloud(tmp_path):
    direction = {"rate": "100mbit", "delay": "2ms"}
    links = {name: {"up": direction, "down": direction} for name in ("radio", "backhaul")}
    scenario = write(tmp_path, topology="three_tier", verifier="cloud", links=links)
    run(scenario)
    (row,) = results(scenario).summary().rows
    assert row.links["radio"].up_packets == row.links["backhaul"].up_packets > 0
    assert row.ttft_s > 0.008  # both links, both ways


@pytest.mark.emulation
def test_a_handover_changes_the_path_and_not_the_text(tmp_path):
    direction = {"rate": "50mbit", "delay": "5ms"}
    links = {name: {"up": direction, "down": direction} for name in ("radio", "radio_2", "between")}
    dead = [{"at": "50ms", "up": {"rate": "0"}}, {"at": "150ms", "up": {"rate": "50mbit"}}]
    links["radio"] = {**links["radio"], "changes": dead}
    same = {
        "topology": "handover",
        "links": links,
        "methods": ["dsd", "dssd"],
        "decoding": {"temperature": 1.0, "max_new_tokens": 200},
        "backend": "relay",
    }
    there_and_back = [
        {"at": "200ms", "to": "radio_2", "stall": "60ms"},
        {"at": "500ms", "to": "radio", "stall": "60ms"},
        {"at": "300s", "to": "radio_2"},
    ]
    texts = []
    for handovers in ([], there_and_back):
        folder = tmp_path / str(len(handovers))
        folder.mkdir()
        scenario = write(folder, **same, handovers=handovers)
        run(scenario)
        found = results(scenario)
        texts.append(hashes(found))
        for row in found.summary().rows:
            radio, other = row.links["radio"], row.links["radio_2"]
            assert row.uplink_wire_bytes == radio.up_bytes + other.up_bytes
            assert row.downlink_wire_bytes == radio.down_bytes + other.down_bytes
            assert row.links["between"].up_packets == other.up_packets
            assert radio.up_packets > 0
            assert (other.up_packets > 0) == (len(handovers) > 0)
            log = found.run(row.method, 0) / "handovers.jsonl"
            made = [json.loads(line) for line in log.open()] if log.exists() else []
            assert [each["to"] for each in made] == [each["to"] for each in handovers[:2]]
            assert all(0 <= each["applied"] - each["scheduled"] < 10e6 for each in made)
            dead_time = log.with_name("changes.radio.jsonl").read_text().splitlines()
            assert len(dead_time) == 2 + 4 * (len(handovers) > 0)
            assert log.with_name("changes.radio_2.jsonl").exists() == (len(handovers) > 0)
        (told,) = found.warnings()
        assert told.startswith(
            "the handover at 300s never took place in 2 of 2 runs, which took "
            if handovers
            else "links.radio_2 has no effect: no handover leads to it"
        )
    assert texts[0] == texts[1]


@inside_sandbox
def test_a_handover_that_fails_ends_the_run(tmp_path):
    direction = {"rate": "1mbit", "delay": "5ms"}
    changes = {
        "topology": "handover",
        "links": {
            name: {"up": direction, "down": direction} for name in ("radio", "radio_2", "between")
        },
        "handovers": [{"at": "300ms", "to": "radio_2"}],
        "methods": ["dsd"],
        "decoding": {"temperature": 1.0, "max_new_tokens": 5000},
    }
    scenario = check_scenario({**SYNTHETIC, **changes}, "test")
    (point,) = scenario.every_point()
    plan = prepare(point, "relay")
    with (
        Deployment(scenario, plan, Results.create(tmp_path, "stuck")) as deployment,
        MethodRun(deployment, scenario.methods[0], 0) as running,
    ):
        device = namespace_of(deployment.network._host("device"))
        device.run(["ip", "link", "set", "dev", "device-radio-2", "down"])
        with pytest.raises(TestbedError, match="the handover to radio_2 failed: host device: ip"):
            running.decode(0, Silent())


@pytest.mark.parallel
@pytest.mark.emulation
def test_two_runs_side_by_side(tmp_path):
    need_sandbox()
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    scenarios = [write(folder, methods=FOUR) for folder in folders]
    processes = [subprocess.Popen(command(s), stdout=subprocess.DEVNULL) for s in scenarios]
    for process, scenario in zip(processes, scenarios, strict=True):
        assert process.wait(60) == 0 or only_busy(scenario)
    assert hashes(results(scenarios[0])) == hashes(results(scenarios[1]))


def in_cell(path: Path, devices: int, **changes) -> Path:
    path.mkdir(exist_ok=True)
    return write(path, topology="cell", devices=devices, prompts=["one", "two"], **changes)


@pytest.mark.emulation
def test_devices_of_a_cell_decode_at_the_same_time_and_none_changes_anothers_text(tmp_path):
    need_sandbox()
    texts = []
    for count in (1, 3):
        scenario = in_cell(tmp_path / str(count), count, methods=["dssd", "device_only"], repeat=2)
        (tmp_path / str(count) / "torch.py").write_text("raise RuntimeError('torch was imported')")
        run(scenario, env={**os.environ, "PYTHONPATH": str(scenario.parent)})
        found = results(scenario)
        rows = found.summary().rows
        assert [(r.method, r.repeat, r.prompt, r.device) for r in rows] == [
            (method, repeat, prompt, f"device{k}")
            for repeat in (0, 1)
            for method in ("dssd", "device_only")
            for prompt in (0, 1)
            for k in range(1, count + 1)
        ]
        # A busy machine makes the relay late; nothing else may be wrong.
        assert not [r.reasons for r in rows if r.verdict == "invalid"]
        assert {r.tokens for r in rows} == {64}
        texts.append({(r.method, r.repeat, r.prompt, r.device): r.output_sha256 for r in rows})
        names = {path.name for path in found.run("dssd", 0).iterdir()}
        nodes = {"base_station.jsonl", *(f"device{k}.jsonl" for k in range(1, count + 1))}
        kept = {"text.txt"} if count == 1 else {f"text.device{k}.txt" for k in (1, 2, 3)}
        logs = {f"packets.radio.{direction}.jsonl.gz" for direction in ("up", "down")}
        assert names == nodes | kept | logs | {"rounds.json"}  # round robin is the relay's
    assert texts[0].items() < texts[1].items()
    assert len(set(texts[1].values())) == len(texts[1])  # everyone draws differently

    for together in (
        [r for r in rows if (r.method, r.repeat, r.prompt) == ("dssd", repeat, prompt)]
        for repeat in (0, 1)
        for prompt in (0, 1)
    ):
        last_start = max(r.start_s for r in together)
        assert last_start < min(r.start_s + r.seconds for r in together)
        radio = together[0].links["radio"]
        assert all(r.links["radio"] == radio for r in together)
        assert all(list(r.links) == [f"access{r.device[-1]}", "radio"] for r in together)
        # Without loss, each frame on the radio is one device's.
        assert sum(r.uplink_wire_bytes for r in together) == radio.up_bytes
        assert sum(r.downlink_wire_bytes for r in together) == radio.down_bytes
        assert all(r.traffic.up_bytes < r.uplink_wire_bytes for r in together)


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_device_of_a_cell_that_dies_ends_the_run_by_name(tmp_path):
    need_sandbox()
    scenario = in_cell(tmp_path, 2, decoding={"temperature": 1.0, "max_new_tokens": 100_000})
    environment = {**os.environ, "TESTBED_TEST_MARK": str(tmp_path)}
    process = subprocess.Popen(
        command(scenario),
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    events = []
    while not (events and all(path.stat().st_size for path in events)):
        time.sleep(0.1)
        events = list(tmp_path.glob("out/*/runs/*/device?.jsonl"))
        assert process.poll() is None
    (victim,) = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and b"--name=device2" in (entry / "cmdline").read_bytes()
        and str(tmp_path) in (entry / "environ").read_text(errors="replace")
    ]
    os.kill(victim, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "node device2 died (signal SIGKILL)" in errors
    assert processes_of(str(tmp_path)) == []


@pytest.mark.emulation
def test_a_cell_cannot_be_had_of_netem_but_for_one_queue(tmp_path):
    done = run(in_cell(tmp_path, 2, backend="netem"), code=1)
    assert "links.radio: queue.discipline" in done.stderr
    assert "use `--backend relay`" in done.stderr


@pytest.mark.emulation
def test_a_run_on_a_busy_machine_is_not_valid(tmp_path):
    scenario = write(tmp_path, backend="relay", decoding={"max_new_tokens": 400})
    with busy(3 * (os.cpu_count() or 1)):
        run(scenario, code=3)
    assert results(scenario).verdict().level in ("suspect", "invalid")
    assert only_busy(scenario) or results(scenario).verdict().level == "invalid"


@pytest.mark.emulation
def test_a_pace_is_kept_or_the_run_is_invalid(tmp_path):
    kept = {"per_pass": "15ms", "per_token": "1ms"}
    scenario = write(
        tmp_path,
        methods=["dssd", "device_only"],
        compute={"draft": kept, "target": {"per_pass": "30ms", "per_token": "0"}},
    )
    run(scenario)
    found = results(scenario)
    (dssd, alone) = found.summary().rows
    assert alone.seconds > 16e-3 * alone.tokens  # much more, and the run were not valid
    assert dssd.seconds > 16e-3 * dssd.counts.drafted + 30e-3 * dssd.counts.rounds
    (tmp_path / "hasty").mkdir()
    hasty = write(
        tmp_path / "hasty",
        # Sampling from so many tokens alone takes longer than a pass may.
        models={"synthetic": {"vocabulary_size": 200_000, "acceptance": 0.8}},
        compute={"draft": {"per_pass": "1us", "per_token": "0"}},
    )
    run(hasty, code=3)
    verdict = results(hasty).verdict()
    assert verdict.level == "invalid"
    assert any("device did not keep its pace, 1us a pass" in each for each in verdict.reasons)


@pytest.mark.parallel
@pytest.mark.emulation
def test_a_pair_of_unlike_families_ends_texts_where_the_target_does(tmp_path):
    """Its draft has other end tokens, no chat template, and more weights, of which it warns."""
    template = "{% for m in messages %}w7 {{ m.content }} {% endfor %}w9"
    target = save(FAMILIES["opt"](), tmp_path / "target", template=template)
    draft = save(FAMILIES["gemma3n"](), tmp_path / "draft")
    ends = list(range(0, IDS, 6))
    for path, own in ((target, ends), (draft, [1, 2, 3])):
        (path / "generation_config.json").write_text(json.dumps({"eos_token_id": own}))
    scenario = write(
        tmp_path,
        models={"target": str(target), "draft": str(draft)},
        methods=FOUR,
        prompts=["w5 w6", "w8"],
        chat=True,
        decoding={"temperature": 1.0, "max_new_tokens": 60},
    )
    done = run(scenario)
    assert f"warning: draft '{draft}' has" in done.stdout
    found = results(scenario)
    for row in found.summary().rows:
        text = (found.run(row.method, 0) / "text.txt").read_text().split("--- prompt")
        words = text[row.prompt + 1].split(f"--- {row.method}\n")[1].split()
        assert len(words) == row.tokens < 60
        assert [word for word in words if word in {f"w{end}" for end in ends}] == words[-1:]
    # What they multiplied by is part of the run, and goes with this processor.
    choices = operator_choices(read_plans(found))
    assert {choice.machine for choice in choices.values()} == {machine()}
    environment = json.loads((found.path / "environment.json").read_bytes())
    assert environment["operators"] == {name: choice.why for name, choice in choices.items()}
    assert {name.partition(" with ")[0] for name in choices} == {
        f"{target} in fp32",
        f"{draft} in fp32",
    }
    again = subprocess.run(
        [sys.executable, "-m", "testbed", "run", "--resume", str(found.path)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "SSE41"},
    )  # fmt: skip
    assert again.returncode == 1
    assert "ONEDNN_MAX_CPU_ISA=SSE41, which rounds otherwise; resume it there, or" in again.stderr
