"""The final tables: one line per method, all its texts together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from testbed.cells import Table
from testbed.claims import THIS_RUN, claims
from testbed.energy import Energy, energy_of
from testbed.intervals import Interval, speed, speed_ratio
from testbed.measures import (
    acceptance_by_place,
    over_bound,
    per_output_token,
    percentiles,
    phase_seconds,
    resampling_rate,
    round_seconds,
    token_waits,
)
from testbed.results import Results
from testbed.sweep import namer
from testbed.traces.phases import PHASES
from testbed.traces.summary import Row, by_point, dilation_text, together_speed
from testbed.traces.verdict import worst

_PHASES = {
    "encode": "en-\ncode", "serialisation": "on\nair", "propagation": "\ndelay",
    "verify": "ver-\nify", "decode": "de-\ncode", "loss_recovery": "\nlost",
}  # fmt: skip
_PLACES = 8
"""As many fit beside each other."""
_WIDE = 1e5


def print_results(results: Results) -> None:
    """Print tables, verdict and reasons of a results directory."""
    console = Console()
    energy = energy_of(results.scenario())
    every = by_point(results.summary().rows)
    name = namer(point for point, _ in every)
    for point, rows in every:
        if point:
            console.rule(name(point), style="none")
        if dilated := dilation_text(rows):
            console.print(dilated, highlight=False)
        for _, table in tables(rows, energy):
            console.print(table)
    if again := sum(row.again for row in results.summary().rows):
        console.print(
            f"{again} times a text was decoded once more, as passes had been late", highlight=False
        )
    if done := results.discarded():
        console.print(
            f"{done} runs were done once more, as they had not been valid", highlight=False
        )
    if tried := results.retried():
        console.print(f"{tried} times a run was done once more, as it had failed", highlight=False)
    for warning in results.warnings():
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    verdict = results.verdict()
    console.print(f"verdict: {verdict.level}", highlight=False)
    for reason in verdict.reasons:
        console.print(f"  {reason}", highlight=False, markup=False, soft_wrap=True)


def tables(rows: list[Row], energy: Energy | None) -> Iterator[tuple[str, Table]]:
    """All tables of one point of a sweep, each with what it shows, in words."""
    yield "Speed: all texts together, and where the time of a token went", speed_table(rows)
    if len({row.device for row in rows}) > 1:
        yield "Devices that decode at the same time", devices_table(rows)
    fit = [row for row in rows if row.verdict != "invalid"]
    if len({(row.repeat, row.prompt, row.device) for row in fit}) > 1:
        yield "How sure that is: methods compared text by text", intervals_table(fit)
    # Older results have none of these.
    if any(row.token_s for row in rows):
        yield "How long users wait", latency_table(rows)
    if any(row.phases for row in rows):
        yield (
            "Where the time went, and what links and compute allow",
            time_table(rows),
        )
    if any(row.tested_at for row in rows):
        yield "Acceptance of the first, second, … draft of a round", places_table(rows)
    yield "Traffic: payloads, messages, and frames on the radio link", traffic_table(rows)
    if energy is not None:
        yield "Energy, by the scenario's own model", energy_table(rows, energy)
    yield "What the papers' formulas predict, beside what was measured", prediction_table(rows)


def speed_table(rows: list[Row]) -> Table:
    """Speed, acceptance and where the time went; totals over all texts, not means of ratios.

    Where several devices decode at the same time, all of it is as one of them sees it.
    """
    table = Table(
        "tokens\n/s",
        "first\ntok. ms",
        "tokens\n/round",
        "accep-\ntance",
        "device\nms/tok",
        "verif.\nms/tok",
        "netw.\nms/tok",
        "\nverdict",
    )
    for method, mine in _by_method(rows):
        tokens = sum(row.tokens for row in mine)
        accepted = sum(row.accepted for row in mine)
        tested = sum(row.tested for row in mine)
        drafted = sum(row.drafted for row in mine)

        def per_token(seconds: Callable[[Row], float], mine: list[Row] = mine) -> str:
            return f"{sum(map(seconds, mine)) / sum(row.tokens for row in mine) * 1000:.1f}"

        table.add_row(
            method,
            _rate(_speed(mine)),
            f"{sum(row.ttft_s for row in mine) / len(mine) * 1000:.0f}",
            f"{tokens / sum(row.rounds for row in mine):.2f}" if drafted else "–",
            f"{accepted / tested:.2f}" if tested else "–",
            per_token(lambda row: row.device_compute_s),
            per_token(lambda row: row.verifier_compute_s),
            per_token(lambda row: row.network_s),
            worst(row.verdict for row in mine),
        )
    return table


def intervals_table(rows: list[Row]) -> Table:
    """Tokens/s with 95 % intervals, and how many times as fast as the first method, text by text.

    What is claimed is false in at most 5 % of such tables. Of a single repetition intervals are of
    this run only, and nothing is claimed. See testbed.intervals and testbed.claims.
    """
    methods = _by_method(rows)
    first, base = methods[0]
    ratios = [None if label == first else speed_ratio(mine, base) for label, mine in methods]
    table = Table(
        "tokens\n/s", "\n95 %", f"over\n{first}", "\n95 %", "\nclaimed", first="\ncompared"
    )
    for (label, mine), ratio, claim in zip(methods, ratios, claims(ratios), strict=True):
        own = speed(mine)
        table.add_row(
            label,
            _rate(own.estimate),
            _bounds(own),
            f"{ratio.estimate:.2f}" if ratio else "–",
            _bounds(ratio) if ratio else "–",
            claim or (THIS_RUN if own.this_run_only else "–"),
        )
    return table


def _bounds(interval: Interval) -> str:
    """The interval; of two repetitions it may be wide beyond use."""
    if interval.low is None or interval.high is None:
        return "–"
    high = f"{interval.high:.2f}" if interval.high < _WIDE else f"{interval.high:.0e}"
    return f"{interval.low:.2f}–{high}"


def devices_table(rows: list[Row]) -> Table:
    """Tokens per second of devices that decode at the same time: together, and one by one."""
    table = Table(
        "\ndevices", "\ntogether", "slowest\ndevice", "fastest\ndevice", first="tokens/s\nof"
    )
    for method, mine in _by_method(rows):
        names = dict.fromkeys(row.device for row in mine)
        speeds = [_speed([row for row in mine if row.device == name]) for name in names]
        shown = (together_speed(mine), min(speeds), max(speeds))
        table.add_row(method, str(len(names)), *(f"{speed:.2f}" for speed in shown))
    return table


def latency_table(rows: list[Row]) -> Table:
    """How long users wait: per token behind the first, from one token to the next, for a round.

    Tokens that came together did not wait for each other.
    """
    table = Table(
        "/token\nmean", "next token\np50", "\np95", "\np99", "round\np50", "\np95", "\np99",
        "resam-\npled %", first="\nms",
    )  # fmt: skip
    for method, mine in _by_method(rows):
        cells = [_ms(per_output_token(mine))]
        for seconds in (token_waits(mine), round_seconds(mine)):
            cells += map(_ms, percentiles(seconds) or (None, None, None))
        rate = resampling_rate(mine)
        table.add_row(method, *cells, "–" if rate is None else f"{100 * rate:.0f}")
    return table


def time_table(rows: list[Row]) -> Table:
    """Where the time went, per token, and how it compares with what links and compute allow.

    `lost` is what sending again took; see testbed.traces.phases.
    """
    table = Table(
        *(_PHASES.get(phase, f"\n{phase}") for phase in PHASES), "times\nbound", first="\nms/token"
    )
    for method, mine in _by_method(rows):
        seconds, ratio = phase_seconds(mine), over_bound(mine)
        tokens = sum(row.tokens for row in mine)
        cells = [_ms(seconds[phase] / tokens if seconds else None) for phase in PHASES]
        table.add_row(method, *cells, "–" if ratio is None else f"{ratio:.3f}")
    return table


def places_table(rows: list[Row]) -> Table:
    """Acceptance by place: of the first, second, … drafts of rounds that were tested."""
    every = [(method, acceptance_by_place(mine)) for method, mine in _by_method(rows)]
    found = [(method, places) for method, places in every if places]
    shown = min(_PLACES, max(len(places) for _, places in found))
    table = Table(*(f"{place}." for place in range(1, shown + 1)), first="acceptance")
    for method, places in found:
        rates = [f"{each.accepted / each.tested:.2f}" for each in places[:shown]]
        table.add_row(method, *rates, *["–"] * (shown - len(rates)))
    return table


def energy_table(rows: list[Row], energy: Energy) -> Table:
    """What devices spent, by the scenario's own model."""
    table = Table("drafting", "sending", "together", first="mJ/token")
    for method, mine in _by_method(rows):
        spent, tokens = energy.spent(mine), sum(row.tokens for row in mine)
        table.add_row(method, *(f"{1000 * j / tokens:,.2f}" for j in (*spent, sum(spent))))
    return table


def traffic_table(rows: list[Row]) -> Table:
    """Bytes per token: what the codec wrote, what ZeroMQ was given, what crossed the radio link."""
    table = Table(
        "up\npayload", "up\nmessages", "up\nframes",
        "down\npayload", "down\nmessages", "down\nframes",
        first="bytes\nper token",
    )  # fmt: skip
    for method, mine in _by_method(rows):
        tokens = sum(row.tokens for row in mine)
        table.add_row(
            method,
            *(
                _size(sum(getattr(row, f"{way}_{kind}") for row in mine) / unit / tokens)
                for way in ("uplink", "downlink")
                for kind, unit in (("payload_bits", 8), ("message_bytes", 1), ("wire_bytes", 1))
            ),
        )
    return table


def prediction_table(rows: list[Row]) -> Table:
    """What the papers' formulas predict, beside what was measured; see testbed.traces.prediction.

    `written` is all of the uplink payload: prompt and resampled ids, too. The last column is the
    round-trip time below which the method is faster than cloud_ar, by what both took to compute.
    """
    table = Table(
        "/round\npred.", "\nmeas.", "tok/s\npred.", "\nmeas.",
        "up bits\nformula", "/draft\nwritten", "RTT\n< ms",
        first="predicted,\nmeasured",
    )  # fmt: skip
    alone = [row for row in rows if row.method == "cloud_ar"]
    target_s = sum(row.verify_s for row in alone) / max(1, sum(r.tokens for r in alone))
    for method, mine in _by_method(rows):
        tokens = sum(row.tokens for row in mine)
        drafted = sum(row.drafted for row in mine)
        verdicts = sum(row.verdicts for row in mine)
        per_round = [row.predicted_tokens_per_round for row in mine]
        speeds = [row.predicted_tokens_per_second for row in mine]
        table.add_row(
            method,
            _mean(per_round, [row.verdicts for row in mine]),
            f"{tokens / verdicts:.2f}" if drafted else "–",
            _harmonic(speeds, [row.tokens for row in mine]),
            _rate(_speed(mine)),
            f"{sum(row.uplink_formula_bits for row in mine) / drafted:,.0f}" if drafted else "–",
            f"{sum(row.uplink_payload_bits for row in mine) / drafted:,.0f}" if drafted else "–",
            _break_even(mine, target_s) if drafted and alone else "–",
        )
    return table


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> str:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value]
    total = sum(weight for _, weight in known)
    return f"{sum(value * weight for value, weight in known) / total:.2f}" if known else "–"


def _harmonic(speeds: Sequence[float | None], tokens: Sequence[int]) -> str:
    """Tokens over seconds of all texts."""
    if not all(speeds):
        return "–"
    seconds = sum(n / speed for n, speed in zip(tokens, speeds, strict=True) if speed)
    return _rate(sum(tokens) / seconds)


def _break_even(rows: list[Row], target_s: float) -> str:
    """Tokens per round times t_ar, less what a round takes apart from the round trip, in ms.

    The formula (testbed.decoding.theory) lets verifying a round take t_ar, as it does where drafts
    are read as fast as one token. Here it is what it was, and both read the prompt.
    """
    rounds = sum(row.rounds for row in rows)
    tokens = sum(row.tokens for row in rows)
    compute = sum(row.device_compute_s + row.verify_s for row in rows)
    on_air = sum(row.predicted_on_air_s or 0.0 for row in rows)
    return f"{(tokens * target_s - compute - on_air) / rounds * 1000:,.0f}"


def _by_method(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of each method, methods in the order of the scenario."""
    labels = dict.fromkeys(row.method for row in rows)
    return [(label, [row for row in rows if row.method == label]) for label in labels]


def _speed(rows: list[Row]) -> float:
    return sum(row.tokens for row in rows) / sum(row.seconds for row in rows)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:.1f}"


def _rate(value: float) -> str:
    """Tokens/s, with decimals where they say something."""
    return f"{value:.2f}" if value < 1000 else f"{value:,.0f}"


def _size(value: float) -> str:
    """Bytes, with a decimal where it says something."""
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
