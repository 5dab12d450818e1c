"""A run's events in the Chrome trace format, for https://ui.perfetto.dev and chrome://tracing.

Nodes are processes, generations are threads, spans are slices, and arrows lead from the sending of
a message to its reception. Format: "Trace Event Format", Google, 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from testbed.events import Event
from testbed.scenario.simulated import SIMULATED

_NAMED = {"t", "dur", "node", "event", "stream"}
_SHORTEST = 1.0  # µs; arrows need a slice at both ends, and an instant has none


def chrome_trace(nodes: Mapping[str, Sequence[Event]], note: str = "") -> bytes:
    """Return one trace of the events of all nodes, by name. Times are µs of testbed.clock.

    `note` says that the results are simulated, and in which range that was validated; empty for
    emulated ones. Viewers show it as metadata, and the names of nodes say it, too.
    """
    trace: dict[str, Any] = {"traceEvents": list(_entries(nodes, note)), "displayTimeUnit": "ms"}
    return msgspec.json.encode({**trace, **({"otherData": {"results": note}} if note else {})})


def _entries(nodes: Mapping[str, Sequence[Event]], note: str) -> Iterator[dict[str, Any]]:
    streams = sorted({event["stream"] for events in nodes.values() for event in events})
    threads = {stream: number for number, stream in enumerate(streams)}
    arrows: dict[tuple[Any, ...], int] = {}
    for pid, (node, events) in enumerate(nodes.items()):
        shown = f"{node} ({SIMULATED})" if note else node
        yield _name("process_name", shown, pid, 0)
        for stream, tid in threads.items():
            yield _name("thread_name", stream, pid, tid)
        seen: dict[tuple[Any, ...], int] = {}
        for event in events:
            where = {"pid": pid, "tid": threads[event["stream"]], "ts": event["t"] / 1000}
            message = event["event"] in {"send", "receive"}
            yield {
                "name": event.get("message", event["event"]) if message else event["event"],
                "cat": event["event"],
                "ph": "X",
                "dur": max(_SHORTEST, event.get("dur", 0) / 1000),
                "args": {key: value for key, value in event.items() if key not in _NAMED},
                **where,
            }
            if message:
                # The n-th time that a message is sent is the n-th time that it is received.
                which = event["stream"], event.get("message"), event.get("round"), event.get("part")
                turn = event["event"], *which
                seen[turn] = seen.get(turn, 0) + 1
                arrow = arrows.setdefault((*which, seen[turn]), len(arrows))
                ends = {"ph": "s"} if event["event"] == "send" else {"ph": "f", "bp": "e"}
                yield {"name": "message", "cat": "message", "id": arrow, **ends, **where}


def _name(kind: str, name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}
