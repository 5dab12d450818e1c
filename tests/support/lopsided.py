"""Results of which not all generations count, with all that tables and figures show."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec

from testbed.analysis.phases import PHASES
from testbed.emulation.packet_log import Header, PacketLine, packet_log_path
from testbed.results.directory import Results
from testbed.results.rows import Row, WireBytes
from tests.support.records import EVENTS, make_results, row, write_events

POINTS = [
    {"links.radio.up.rate": rate, "seed": seed} for rate in ("1mbit", "9mbit") for seed in (0, 1)
]
VERDICTS = {
    "cloud_ar": ("valid", "valid", "invalid"),
    "dsd": ("suspect", "invalid", "valid"),
    "dssd": ("invalid", "invalid", "invalid"),
}
"""Of each prompt."""


def lopsided(
    *, points: Any = ({},), verdicts: Any = VERDICTS, factor: float = 1.0, of: str = "invalid"
) -> list[Row]:
    """Rows of three prompts; those with the verdict `of` have all their figures times `factor`.

    The dsd method is twice as fast, and moves most.
    """
    rows = []
    for point in points:
        for method, levels in verdicts.items():
            for prompt, level in enumerate(levels):
                times = factor if level == of else 1.0
                seconds = times * (4 + prompt) / (2 if method == "dsd" else 1)
                rows.append(
                    row(
                        method,
                        point=point,
                        prompt=prompt,
                        verdict=level,
                        seconds=seconds,
                        start_s=5.0,
                        ttft_s=seconds / 8,
                        device_compute_s=seconds / 5,
                        verifier_compute_s=seconds / 4,
                        verify_s=seconds / 4,
                        network_s=seconds / 3,
                        rounds=round(4 * times),
                        drafted=round(12 * times),
                        verified=round(8 * times) + 1,
                        accepted=round(6 * times),
                        up_payload_bits=round(8000 * times),
                        up_bytes=round(1200 * times),
                        uplink_wire_bytes=round((3000 if method == "dsd" else 2000) * times),
                        downlink_payload_bits=round(80 * times),
                        downlink_message_bytes=round(100 * times),
                        downlink_wire_bytes=round(500 * times),
                        formula_bits=7000 * times,
                        predicted_tokens_per_second=5.5 * times,
                        predicted_mean_acceptance_length=2.6 * times,
                        predicted_on_air_s=0.1 * times,
                        verification_rounds=round(4 * times),
                        rejections=round(2 * times),
                        verified_per_position=[round(9 * times), round(6 * times)],
                        accepted_per_position=[6, 2],
                        token_s=[times * 0.1 * number for number in range(10)],
                        round_s=[times * 0.4] * 4,
                        phases=dict.fromkeys(PHASES, times * 0.1),
                        links={"radio": WireBytes(2000, 9, 0, 500, 8, 0)},
                    )
                )
    return rows


def lopsided_results(folder: Path, rows: list[Row]) -> Results:
    """Results of these rows, with nodes' events and links' logs of every run."""
    results = make_results(folder, rows)
    methods = list(dict.fromkeys(each.method for each in rows))
    results.write_scenario({"name": "made", "verifier": "base_station", "methods": methods})
    for method, repeat, point in {
        (each.method, each.repeat, msgspec.json.encode(each.point)) for each in rows
    }:
        run = results.run(method, repeat, msgspec.json.decode(point))
        for node in EVENTS:
            (run / f"{node}.jsonl").unlink(missing_ok=True)
            write_events(run / f"{node}.jsonl", node)
        for direction in ("up", "down"):
            start = 5 * 10**9
            lines = (
                Header(1, "radio", direction, repeat, start, {"rate": "1mbit"}),
                PacketLine(0, start, 500, start + 10**8, start + 10**8),
            )
            with gzip.open(packet_log_path(run, "radio", direction), "wb") as file:
                file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
    return results
