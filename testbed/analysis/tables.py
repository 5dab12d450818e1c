"""The final tables: one line per method, all its generations that count together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from testbed.analysis.aggregate import together_speed
from testbed.analysis.claims import THIS_RUN, claims
from testbed.analysis.energy import spent
from testbed.analysis.generations import Sample
from testbed.analysis.intervals import Interval, speed, speed_ratio
from testbed.analysis.method_table import NONE, MethodTable
from testbed.analysis.metrics import (
    acceptance,
    acceptance_by_place,
    drafts_per_round,
    over_bound,
    passes_per_draft,
    per_output_token,
    percentiles,
    phase_seconds,
    predicted_speed,
    resampling_rate,
    round_seconds,
    token_waits,
    tokens_per_round,
)
from testbed.analysis.phases import PHASES
from testbed.output.text_table import Table
from testbed.results.rows import Row
from testbed.results.verdict import worst
from testbed.scenario.schema import Energy

_PHASES = {
    "encode": "en-\ncode", "serialisation": "on\nair", "propagation": "\ndelay",
    "verify": "ver-\nify", "decode": "de-\ncode", "loss_recovery": "\nlost",
}  # fmt: skip
_PLACES = 8
"""As many fit beside each other."""
_WIDE = 1e5


def tables(samples: Sequence[Sample], energy: Energy | None) -> Iterator[tuple[str, Table]]:
    """All tables of one point of a sweep, each with what it shows, in words."""
    rows = [row for sample in samples for row in sample.rows]
    yield (
        "Speed: all generations together, and where the time of a token went",
        speed_table(samples),
    )
    if len({row.device for sample in samples for row in sample.every}) > 1:
        yield "Devices that decode at the same time", devices_table(samples)
    if len({(row.repeat, row.prompt, row.device) for row in rows}) > 1:
        yield (
            "How sure that is: methods compared generation by generation",
            intervals_table(samples),
        )
    # Older results have none of these.
    if any(row.token_s for row in rows):
        yield "How long users wait for tokens", waits_table(samples)
    if any(row.round_s for row in rows):
        yield "How long rounds take", rounds_table(samples)
    if any(row.phases for row in rows):
        yield (
            "Where the time went, and what links and compute allow",
            time_table(samples),
        )
    if any(row.tested_at for row in rows):
        yield (
            "Drafting: passes of the draft model, and acceptance of the first, second, … draft",
            drafting_table(samples),
        )
    yield "Traffic: payloads, messages, and frames on the radio link", traffic_table(samples)
    if energy is not None:
        yield "Energy, by the scenario's own model", energy_table(samples, energy)
    yield "What the papers' formulas predict, beside what was measured", prediction_table(samples)


def speed_table(samples: Sequence[Sample]) -> Table:
    """Speed, acceptance and where the time went.

    Tokens/s are those of testbed.analysis.intervals, all else is totals over all generations that
    count, not means of ratios. Where several devices decode at the same time, all of it is as one
    of them sees it.
    """
    table = MethodTable(
        samples,
        "tokens\n/s",
        "first\ntok. ms",
        "tokens\n/round",
        "accep-\ntance",
        "device\nms/tok",
        "verif.\nms/tok",
        "netw.\nms/tok",
        "\nverdict",
    )
    for method, mine in table.methods():

        def per_token(seconds: Callable[[Row], float], mine: list[Row] = mine) -> str:
            return f"{sum(map(seconds, mine)) / sum(row.tokens for row in mine) * 1000:.1f}"

        table.add_row(
            method,
            _rate(speed(mine).estimate),
            f"{sum(row.ttft_s for row in mine) / len(mine) * 1000:.0f}",
            _ratio(tokens_per_round(mine)),
            _ratio(acceptance(mine)),
            per_token(lambda row: row.device_compute_s),
            per_token(lambda row: row.verifier_compute_s),
            per_token(lambda row: row.network_s),
            worst(row.verdict for row in mine),
        )
    return table


def intervals_table(samples: Sequence[Sample]) -> Table:
    """Tokens/s with 95 % intervals, and how many times as fast as the first method that has any.

    That is of pairs: generations of a prompt, repetition and device that count for both.

    What is claimed is false in at most 5 % of such tables. Of a single repetition intervals are of
    this run only, and nothing is claimed. See testbed.analysis.intervals and
    testbed.analysis.claims.
    """
    first, base = next((each.method, each.rows) for each in samples if each.rows)
    table = MethodTable(
        samples, "tokens\n/s", "\n95 %", "\npairs", f"over\n{first}", "\n95 %", "\nclaimed",
        first="\ncompared",
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
    """The interval; of two repetitions it may be wide beyond use."""
    if interval.low is None or interval.high is None:
        return "–"
    high = f"{interval.high:.2f}" if interval.high < _WIDE else f"{interval.high:.0e}"
    return f"{interval.low:.2f}–{high}"


def devices_table(samples: Sequence[Sample]) -> Table:
    """Tokens per second of devices that decode at the same time: together, and one by one.

    Together is of the prompts for which every device's generation counts.
    """
    table = MethodTable(
        samples,
        "\ndevices",
        "\ntogether",
        "slowest\ndevice",
        "fastest\ndevice",
        first="tokens/s\nof",
    )
    whole = {sample.method: sample.together() for sample in samples}
    for method, mine in table.methods():
        names = dict.fromkeys(row.device for row in mine)
        speeds = [speed([row for row in mine if row.device == name]).estimate for name in names]
        table.add_row(
            method,
            str(len(names)),
            f"{together_speed(whole[method]):.2f}" if whole[method] else NONE,
            f"{min(speeds):.2f}",
            f"{max(speeds):.2f}",
        )
    return table


def waits_table(samples: Sequence[Sample]) -> Table:
    """Waits of users: per token behind the first, and from one token to the next.

    Tokens that came together did not wait for each other.
    """
    table = MethodTable(
        samples, "/token\nmean", "\nwaits", "next token\np50", "\np95", "\np99", first="\nms"
    )
    for method, mine in table.methods():
        waits = token_waits(mine)
        table.add_row(
            method, _ms(per_output_token(mine)), str(len(waits)), *map(_ms, percentiles(waits))
        )
    return table


def rounds_table(samples: Sequence[Sample]) -> Table:
    """Seconds of rounds, and the share that ended with a draft that was resampled."""
    table = MethodTable(
        samples, "\nrounds", "\np50", "\np95", "\np99", "resam-\npled %", first="\nms"
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
    """Where the time went, per token, and how it compares with what links and compute allow.

    `lost` is what sending again took; see testbed.analysis.phases.
    """
    table = MethodTable(
        samples,
        *(_PHASES.get(phase, f"\n{phase}") for phase in PHASES),
        "times\nbound",
        first="\nms/token",
    )
    for method, mine in table.methods():
        seconds, ratio = phase_seconds(mine), over_bound(mine)
        tokens = sum(row.tokens for row in mine)
        cells = [_ms(seconds[phase] / tokens if seconds else None) for phase in PHASES]
        table.add_row(method, *cells, "–" if ratio is None else f"{ratio:.3f}")
    return table


def drafting_table(samples: Sequence[Sample]) -> Table:
    """Drafts a round, passes of the draft model for each, and acceptance by place in the round.

    A pass may come to nothing (more than one a draft), or have several candidates (fewer). Methods
    that draft nothing are not in it.
    """
    found = {sample.method: acceptance_by_place(sample.rows) for sample in samples}
    shown = min(_PLACES, max(map(len, found.values())))
    table = MethodTable(
        [sample for sample in samples if found[sample.method] or not sample.rows],
        "drafts\n/round",
        "passes\n/draft",
        *(f"\n{place}." for place in range(1, shown + 1)),
        first="\nacceptance",
    )
    for method, mine in table.methods():
        places = found[method]
        cells = [_ratio(measure(mine)) for measure in (drafts_per_round, passes_per_draft)]
        rates = [f"{each.accepted / each.tested:.2f}" for each in places[:shown]]
        table.add_row(method, *cells, *rates, *["–"] * (shown - len(rates)))
    return table


def energy_table(samples: Sequence[Sample], energy: Energy) -> Table:
    """What devices spent, by the scenario's own model."""
    table = MethodTable(samples, "drafting", "sending", "together", first="mJ/token")
    for method, mine in table.methods():
        joules, tokens = spent(energy, mine), sum(row.tokens for row in mine)
        parts = (joules.drafting, joules.sending, joules.together)
        table.add_row(method, *("–" if j is None else f"{1000 * j / tokens:,.2f}" for j in parts))
    return table


def traffic_table(samples: Sequence[Sample]) -> Table:
    """Bytes per token: what the codec wrote, what ZeroMQ was given, what crossed the radio link."""
    table = MethodTable(
        samples,
        "up\npayload", "up\nmessages", "up\nframes",
        "down\npayload", "down\nmessages", "down\nframes",
        first="bytes\nper token",
    )  # fmt: skip
    for method, mine in table.methods():
        tokens = sum(row.tokens for row in mine)
        table.add_row(
            method,
            *(
                _size(sum(getattr(row, f"{direction}_{kind}") for row in mine) / unit / tokens)
                for direction in ("uplink", "downlink")
                for kind, unit in (("payload_bits", 8), ("message_bytes", 1), ("wire_bytes", 1))
            ),
        )
    return table


def prediction_table(samples: Sequence[Sample]) -> Table:
    """What the papers' formulas predict, beside what was measured; see testbed.analysis.prediction.

    `written` is all of the uplink payload: prompt and resampled ids, too. The last column is the
    round-trip time below which the method is faster than cloud_ar, by what both took to compute.
    """
    table = MethodTable(
        samples,
        "/round\npred.", "\nmeas.", "tok/s\npred.", "\nmeas.",
        "up bits\nformula", "/draft\nwritten", "RTT\n< ms",
        first="predicted,\nmeasured",
    )  # fmt: skip
    alone = [row for sample in samples if sample.method == "cloud_ar" for row in sample.rows]
    target_s = sum(row.verify_s for row in alone) / max(1, sum(r.tokens for r in alone))
    for method, mine in table.methods():
        drafted = sum(row.drafted for row in mine)
        per_round = [row.predicted_tokens_per_round for row in mine]
        predicted = predicted_speed(mine)
        table.add_row(
            method,
            _mean(per_round, [row.verdicts for row in mine]),
            _ratio(tokens_per_round(mine)),
            NONE if predicted is None else _rate(predicted),
            _rate(speed(mine).estimate),
            f"{sum(row.uplink_formula_bits for row in mine) / drafted:,.0f}" if drafted else "–",
            f"{sum(row.uplink_payload_bits for row in mine) / drafted:,.0f}" if drafted else "–",
            _break_even(mine, target_s) if drafted and alone else "–",
        )
    return table


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> str:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value]
    total = sum(weight for _, weight in known)
    return f"{sum(value * weight for value, weight in known) / total:.2f}" if known else "–"


def _break_even(rows: list[Row], target_s: float) -> str:
    """Tokens per exchange times t_ar, less what one takes apart from the round trip, in ms.

    The formula (testbed.decoding.theory) lets verifying a round take t_ar, as it does where drafts
    are read as fast as one token. Here it is what it was, and both read the prompt.
    """
    exchanges = sum(row.rounds for row in rows)
    tokens = sum(row.tokens for row in rows)
    compute = sum(row.device_compute_s + row.verify_s for row in rows)
    on_air = sum(row.predicted_on_air_s or 0.0 for row in rows)
    return f"{(tokens * target_s - compute - on_air) / exchanges * 1000:,.0f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f}"


def _rate(value: float) -> str:
    """Tokens/s, with decimals where they say something."""
    return f"{value:.2f}" if value < 1000 else f"{value:,.0f}"


def _size(value: float) -> str:
    """Bytes, with a decimal where it says something."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
