"""Hand-made results: rows and a whole results directory, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from testbed.counts import DraftCounts, Traffic
from testbed.results.directory import Results, Summary
from testbed.results.event_metrics import EventMetrics
from testbed.results.rows import Row, WireBytes
from testbed.results.verdict import Verdict, worst

T = TypeVar("T", bound=msgspec.Struct)
ROW = Row(
    method="dsd",
    backend="relay",
    repeat=0,
    point={},
    prompt=0,
    tokens=10,
    seconds=2.0,
    tokens_per_second=5.0,
    ttft_s=0.5,
    counts=msgspec.structs.replace(
        DraftCounts.zero(), rounds=4, draft_passes=14, drafted=12, verified=8, accepted=6,
        rejections=2,
        formula_bits=7000,
    ),
    traffic=msgspec.structs.replace(Traffic.zero(), up_bytes=1200, up_payload_bits=8000),
    events=EventMetrics(
        device_compute_s=0.4, verifier_compute_s=0.6, verify_s=0.5, network_s=1.0,
        downlink_payload_bits=80, downlink_message_bytes=100, target_tv=None,
    ),
    verification_rounds=4,
    acceptance_rate=0.75,
    uplink_wire_bytes=2000,
    downlink_wire_bytes=500,
    links={"radio": WireBytes(2000, 9, 0, 500, 8, 0)},
    predicted_mean_acceptance_length=2.6,
    predicted_tokens_per_second=5.5,
    predicted_on_air_s=0.1,
    output_sha256="00",
    verdict="valid",
    reasons=[],
)  # fmt: skip


def row(method: str, *, tokens: int = 10, seconds: float = 2.0, **changes: Any) -> Row:
    """Return an ordinary row with `changes`, those of its parts included."""
    own = changed(ROW, **changes)
    return msgspec.structs.replace(
        own, method=method, tokens=tokens, seconds=seconds, tokens_per_second=tokens / seconds
    )


def changed(whole: T, **changes: Any) -> T:
    """Return a row or result with other fields, of its own or of its nested parts."""
    parts = {}
    for name in {"counts", "traffic", "events"} & set(whole.__struct_fields__):
        part = changes.pop(name, getattr(whole, name))
        mine = {key: changes.pop(key) for key in part.__struct_fields__ if key in changes}
        parts[name] = msgspec.structs.replace(part, **mine)
    return msgspec.structs.replace(whole, **parts, **changes)


def alone(method: str, **changes: Any) -> Row:
    """Return a row of a method that sends nothing."""
    nothing = dict.fromkeys(
        ("uplink_wire_bytes", "downlink_payload_bits", "downlink_message_bytes",
         "downlink_wire_bytes"), 0
    )  # fmt: skip
    nothing |= {"counts": DraftCounts.zero(), "draft_passes": changes.get("tokens", 10)}
    nothing |= {"traffic": Traffic.zero(), "predicted_mean_acceptance_length": None}
    return row(method, acceptance_rate=None, **{**nothing, **changes})


EVENTS = {
    # (event, what, ms of its beginning and end) of one text: two rounds.
    "device": [
        ("send", "Open", 0), ("draft", "", 0, 400), ("send", "Round", 400),
        ("receive", "Opened", 550), ("receive", "Reply", 1000), ("commit", "", 1000),
        ("draft", "", 1000, 1300), ("send", "Round", 1300), ("receive", "Reply", 1900),
        ("commit", "", 1900), ("send", "Close", 1950),
    ],
    "base_station": [
        ("receive", "Open", 100), ("send", "Opened", 100), ("prefill", "", 100, 300),
        ("receive", "Round", 600), ("verify", "", 600, 900), ("send", "Reply", 900),
        ("receive", "Round", 1500), ("verify", "", 1500, 1800), ("send", "Reply", 1800),
        ("receive", "Close", 2050),
    ],
}  # fmt: skip


def write_events(path: Path, node: str, stream: str = "device/0", start: int = 5 * 10**9) -> None:
    """Append the events of one text at `node`."""
    with path.open("ab") as file:
        for name, message, begin, *end in EVENTS[node]:
            event = {"node": node, "t": start + begin * 10**6, "event": name, "stream": stream}
            if message:
                event["message"] = message
            if end:
                event["dur"] = (end[0] - begin) * 10**6
            file.write(msgspec.json.encode(event) + b"\n")


def make_results(parent: Path, rows: list[Row], reasons: tuple[str, ...] = ()) -> Results:
    """Return a results directory with these rows, and events for each of its runs."""
    results = Results.create(parent, "made")
    results.write_scenario({"name": "made", "verifier": "base_station", "prompts": ["one"]})
    results.write_json("summary.json", Summary(scenario="made", rows=rows))
    level = worst(each.verdict for each in rows)
    results.write_json("verdict.json", Verdict(level, list(reasons)))
    for each in rows:
        for node in EVENTS:
            if node == "device" or each.uplink_wire_bytes:
                write_events(results.run(each.method, each.repeat) / f"{node}.jsonl", node)
    return results
