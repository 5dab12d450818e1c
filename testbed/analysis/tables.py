"""The tables of `testbed show` and the page: one line per method, all its generations together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from testbed.analysis.aggregate import aggregate_speed
from testbed.analysis.claims import THIS_RUN, claims
from testbed.analysis.energy import spent
from testbed.analysis.generations import Sample
from testbed.analysis.intervals import Interval, speed, speed_ratio
from testbed.analysis.method_table import NONE, MethodTable
from testbed.analysis.metrics import (
    TRAFFIC,
    Percentiles,
    acceptance,
    acceptance_per_position,
    drafts_per_round,
    inter_token_latencies,
    mean_acceptance_length,
    passes_per_draft,
    percentiles,
    phase_seconds,
    predicted_speed,
    resampling_rate,
    round_seconds,
    slowdown_vs_bound,
    time_per_output_token,
)
from testbed.analysis.phases import PHASES
from testbed.output.text_table import Column, Table
from testbed.results.rows import Row
from testbed.results.verdict import worst
from testbed.scenario.schema import Energy

_PHASES = {"serialisation": "on air", "propagation": "delay", "loss_recovery": "lost"}
"""The shorter names of some phases in a table."""
_POSITIONS = 8
"""The number of positions that fit beside each other."""
_WIDE = 1e5
_FIRST_NOTE = (
    "n: generations that count / all; acceptance: accepted / verified positions; device, verifier: "
    "time in which that node computed; network: time in which neither did; more in "
    "testbed/docs/glossary.md"
)


def tables(samples: Sequence[Sample], energy: Energy | None) -> Iterator[tuple[str, Table]]:
    """Yield all tables of one point of a sweep, each with its caption."""
    rows = [row for sample in samples for row in sample.rows]
    yield (
        "Speed, acceptance and compute times by method",
        speed_table(samples),
    )
    if len({row.device for sample in samples for row in sample.every}) > 1:
        yield "Devices that decode at the same time", devices_table(samples)
    if len({(row.repeat, row.prompt, row.device) for row in rows}) > 1:
        yield (
            "Comparison: speed with 95 % intervals, and ratios over pairs of generations",
            intervals_table(samples),
        )
    # Older results have none of these.
    if any(row.token_s for row in rows):
        yield "TPOT and ITL: the waits for tokens after the first", latency_table(samples)
    if any(row.round_s for row in rows):
        yield "Duration of verification rounds", rounds_table(samples)
    if any(row.phases for row in rows):
        yield (
            "Time per token by phase, compared with the bound of links and compute",
            time_table(samples),
        )
    if any(row.counts.verified_per_position for row in rows):
        yield (
            "Drafting: drafts per round, passes of the draft model, per-position acceptance",
            drafting_table(samples),
        )
    yield "Traffic: bytes per token of payloads, messages and frames", traffic_table(samples)
    if energy is not None:
        yield "Energy per token, by the scenario's model", energy_table(samples, energy)
    yield "Predictions of the papers' formulas, and measurements", prediction_table(samples)


def speed_table(samples: Sequence[Sample]) -> Table:
    """Return the table of speed, acceptance and compute times.

    Tokens/s is the geometric mean of testbed.analysis.intervals, TTFT the mean over generations;
    all other values are ratios of totals over all generations that count. Where several devices
    decode at the same time, values are those of one device.
    """
    table = MethodTable(
        samples,
        Column("speed", "tokens/s"),
        Column("TTFT", "ms"),
        Column("mean acceptance length", "tokens"),
        "acceptance",
        *(Column(part, "ms/token") for part in ("device", "verifier", "network")),
        "verdict",
    )
    for method, mine in table.methods():

        def per_token(seconds: Callable[[Row], float], mine: list[Row] = mine) -> str:
            return f"{sum(map(seconds, mine)) / sum(row.tokens for row in mine) * 1000:.1f}"

        table.add_row(
            method,
            _rate(speed(mine).estimate),
            f"{sum(row.ttft_s for row in mine) / len(mine) * 1000:.0f}",
            _ratio(mean_acceptance_length(mine)),
            _ratio(acceptance(mine)),
            per_token(lambda row: row.events.device_compute_s),
            per_token(lambda row: row.events.verifier_compute_s),
            per_token(lambda row: row.events.network_s),
            worst(row.verdict for row in mine),
        )
    table.notes.append(_FIRST_NOTE)
    return table


def intervals_table(samples: Sequence[Sample]) -> Table:
    """Return tokens/s with 95 % intervals, and ratios to the first method with generations.

    Ratios are over pairs of generations of the same prompt, repetition and device that count for
    both (testbed.analysis.intervals). At most 5 % of such tables have a false claim
    (testbed.analysis.claims). With a single repetition, intervals hold for this run only, and
    nothing is claimed.
    """
    first, base = next((each.method, each.rows) for each in samples if each.rows)
    table = MethodTable(
        samples, Column("speed", "tokens/s"), "95 %", "pairs", f"over {first}", "95 %", "claimed",
        first="compared",
    )  # fmt: skip
    ratios = {
        sample.method: speed_ratio(sample.rows, base)
        for sample in samples
        if sample.method != first
    }
    claim = dict(zip(ratios, claims(list(ratios.values())), strict=True))
    for label, mine in table.methods():
        own, ratio = speed(mine), ratios.get(label)
        table.add_row(
            label,
            _rate(own.estimate),
            _bounds(own),
            str(ratio.n) if ratio else NONE,
            f"{ratio.estimate:.2f}" if ratio else NONE,
            _bounds(ratio) if ratio else NONE,
            claim.get(label) or (THIS_RUN if own.this_run_only else NONE),
        )
    return table


def _bounds(interval: Interval) -> str:
    """Return an interval as text; from two repetitions it may be very wide."""
    if interval.low is None or interval.high is None:
        return "–"
    high = f"{interval.high:.2f}" if interval.high < _WIDE else f"{interval.high:.0e}"
    return f"{interval.low:.2f}–{high}"


def devices_table(samples: Sequence[Sample]) -> Table:
    """Return tokens/s of devices that decode at the same time: aggregate, slowest and fastest.

    The aggregate is over the prompts for which the generations of all devices count.
    """
    table = MethodTable(
        samples,
        "devices",
        Column("aggregate", "tokens/s"),
        Column("slowest device", "tokens/s"),
        Column("fastest device", "tokens/s"),
    )
    whole = {sample.method: sample.complete() for sample in samples}
    for method, mine in table.methods():
        names = dict.fromkeys(row.device for row in mine)
        speeds = [speed([row for row in mine if row.device == name]).estimate for name in names]
        table.add_row(
            method,
            str(len(names)),
            f"{aggregate_speed(whole[method]):.2f}" if whole[method] else NONE,
            f"{min(speeds):.2f}",
            f"{max(speeds):.2f}",
        )
    return table


def latency_table(samples: Sequence[Sample]) -> Table:
    """Return TPOT and percentiles of ITL; ITL is 0 between tokens committed together."""
    table = MethodTable(
        samples,
        Column("TPOT", "ms"),
        "ITLs",
        *(Column(f"ITL {each}", "ms") for each in Percentiles._fields),
    )
    for method, mine in table.methods():
        waits = inter_token_latencies(mine)
        table.add_row(
            method, _ms(time_per_output_token(mine)), str(len(waits)), *map(_ms, percentiles(waits))
        )
    return table


def rounds_table(samples: Sequence[Sample]) -> Table:
    """Return percentiles of the time of rounds, and the share with a rejected draft."""
    table = MethodTable(
        samples,
        "rounds",
        *(Column(each, "ms") for each in Percentiles._fields),
        Column("resampled", "%"),
    )
    for method, mine in table.methods():
        seconds, rate = round_seconds(mine), resampling_rate(mine)
        table.add_row(
            method,
            str(len(seconds)),
            *map(_ms, percentiles(seconds)),
            NONE if rate is None else f"{100 * rate:.0f}",
        )
    return table


def time_table(samples: Sequence[Sample]) -> Table:
    """Return the time per token in each phase, and the total over the bound of links and compute.

    Phases are those of testbed.analysis.phases; `lost` is loss recovery.
    """
    table = MethodTable(
        samples,
        *(_PHASES.get(phase, phase) for phase in PHASES),
        Column("time vs bound", "×"),
        first="ms/token",
    )
    for method, mine in table.methods():
        seconds, ratio = phase_seconds(mine), slowdown_vs_bound(mine)
        tokens = sum(row.tokens for row in mine)
        cells = [_ms(seconds[phase] / tokens if seconds else None) for phase in PHASES]
        table.add_row(method, *cells, "–" if ratio is None else f"{ratio:.3f}")
    return table


def drafting_table(samples: Sequence[Sample]) -> Table:
    """Return drafts per round, passes of the draft model per draft, and acceptance per position.

    A pass may yield no draft, or several candidates. Methods that draft nothing are left out.
    """
    found = {sample.method: acceptance_per_position(sample.rows) for sample in samples}
    shown = min(_POSITIONS, max(map(len, found.values())))
    table = MethodTable(
        [sample for sample in samples if found[sample.method] or not sample.rows],
        Column("drafts", "/round"),
        Column("passes", "/draft"),
        *(f"{position}." for position in range(1, shown + 1)),
        first="acceptance",
    )
    for method, mine in table.methods():
        positions = found[method]
        cells = [_ratio(measure(mine)) for measure in (drafts_per_round, passes_per_draft)]
        rates = [f"{each.accepted / each.verified:.2f}" for each in positions[:shown]]
        table.add_row(method, *cells, *rates, *["–"] * (shown - len(rates)))
    return table


def energy_table(samples: Sequence[Sample], energy: Energy) -> Table:
    """Return the energy per token that devices spent, by the scenario's model."""
    table = MethodTable(samples, "drafting", "sending", "total", first="mJ/token")
    for method, mine in table.methods():
        joules, tokens = spent(energy, mine), sum(row.tokens for row in mine)
        parts = (joules.drafting, joules.sending, joules.total)
        table.add_row(method, *("–" if j is None else f"{1000 * j / tokens:,.2f}" for j in parts))
    return table


def traffic_table(samples: Sequence[Sample]) -> Table:
    """Return bytes per token, up and down: payloads, messages, frames on the device's links."""
    table = MethodTable(
        samples,
        *(Column(f"{name} {kind}") for name in ("up", "down") for kind in TRAFFIC["uplink"]),
        first=Column("bytes", "per token"),
    )
    for method, mine in table.methods():
        tokens = sum(row.tokens for row in mine)
        table.add_row(
            method,
            *(
                _size(measure(mine) / tokens)
                for kinds in TRAFFIC.values()
                for measure in kinds.values()
            ),
        )
    return table


def prediction_table(samples: Sequence[Sample]) -> Table:
    """Return the predictions of testbed.analysis.prediction and the measured values.

    `payload` is the whole uplink payload, prompt and resampled token ids included. The last column
    is the round-trip time below which the method would be faster than cloud_ar, from the compute
    times of both.
    """
    table = MethodTable(
        samples,
        Column("predicted length", "tokens"),
        Column("measured", "tokens"),
        Column("predicted speed", "tokens/s"),
        Column("measured", "tokens/s"),
        Column("formula", "bits/draft"),
        Column("payload", "bits/draft"),
        Column("break-even RTT", "ms"),
    )
    alone = [row for sample in samples if sample.method == "cloud_ar" for row in sample.rows]
    target_s = sum(row.events.verify_s for row in alone) / max(1, sum(r.tokens for r in alone))
    for method, mine in table.methods():
        drafted = sum(row.counts.drafted for row in mine)
        lengths = [row.predicted_mean_acceptance_length for row in mine]
        predicted = predicted_speed(mine)
        table.add_row(
            method,
            _mean(lengths, [row.verification_rounds for row in mine]),
            _ratio(mean_acceptance_length(mine)),
            NONE if predicted is None else _rate(predicted),
            _rate(speed(mine).estimate),
            f"{sum(row.counts.formula_bits for row in mine) / drafted:,.0f}" if drafted else "–",
            f"{sum(row.traffic.up_payload_bits for row in mine) / drafted:,.0f}"
            if drafted
            else "–",
            _break_even(mine, target_s) if drafted and alone else "–",
        )
    return table


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> str:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value]
    total = sum(weight for _, weight in known)
    return f"{sum(value * weight for value, weight in known) / total:.2f}" if known else "–"


def _break_even(rows: list[Row], target_s: float) -> str:
    """Return tokens per exchange times t_ar, less compute and air time per exchange, in ms.

    The formula of testbed.decoding.theory assumes that a verification takes t_ar, which holds where
    several drafts are read as fast as one token. Here the measured time is used. Reading the prompt
    is left out on both sides.
    """
    exchanges = sum(row.counts.rounds for row in rows)
    tokens = sum(row.tokens for row in rows)
    compute = sum(row.events.device_compute_s + row.events.verify_s for row in rows)
    on_air = sum(row.predicted_on_air_s or 0.0 for row in rows)
    return f"{(tokens * target_s - compute - on_air) / exchanges * 1000:,.0f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f}"


def _rate(value: float) -> str:
    """Return tokens/s as text, with decimals below 1000."""
    return f"{value:.2f}" if value < 1000 else f"{value:,.0f}"


def _size(value: float) -> str:
    """Return bytes as text, with a decimal below 100."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
