"""Metrics of several generations: over all of them, or None where one lacks the counts."""

from __future__ import annotations

import msgspec
import pytest

from testbed.analysis import metrics
from testbed.analysis.energy import energy_of, spent
from testbed.analysis.intervals import speed
from testbed.analysis.phases import PHASES
from testbed.scenario.schema import Energy
from tests.support.records import alone, row

ROWS = [
    row("dsd", token_s=[0.5, 0.5, 0.9], verified_per_position=[3, 2],
        accepted_per_position=[2, 1], rejections=2, round_s=[0.5, 0.4],
        phases=dict.fromkeys(PHASES, 0.1)),
    row("dsd", token_s=[0.2, 0.6], verified_per_position=[1], accepted_per_position=[1],
        rejections=0, round_s=[0.2, 0.4], phases=dict.fromkeys(PHASES, 0.3)),
]  # fmt: skip
OLD = row("dsd", rejections=None, draft_passes=None)


def test_waits_are_between_tokens_of_one_text():
    assert metrics.inter_token_latencies(ROWS) == pytest.approx([0.0, 0.4, 0.4])
    assert metrics.round_seconds(ROWS) == [0.5, 0.4, 0.2, 0.4]
    assert metrics.round_seconds([alone("device_only", verification_rounds=0, round_s=[3.0])]) == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (0, (False, False, False)),
        (3, (False, False, False)),
        (4, (True, False, False)),
        (39, (True, False, False)),
        (40, (True, True, False)),
        (199, (True, True, False)),
        (200, (True, True, True)),
    ],
)
def test_a_percentile_needs_two_values_beyond_it(values, told):
    found = metrics.percentiles([float(n) for n in range(values)])
    assert tuple(each is not None for each in found) == told
    for each, share in zip(found, (0.5, 0.95, 0.99), strict=True):
        assert each is None or each == pytest.approx(share * (values - 1))


def test_predictions_are_taken_together_as_what_was_measured_is():
    rows = [row("dsd", seconds=1, prompt=0), row("dsd", seconds=4, prompt=1)]
    same = [
        msgspec.structs.replace(each, seconds=9, predicted_tokens_per_second=each.tokens_per_second)
        for each in rows
    ]
    assert metrics.predicted_speed(same) == pytest.approx(speed(rows).estimate)
    one = msgspec.structs.replace(rows[0], predicted_tokens_per_second=None)
    assert metrics.predicted_speed([one, rows[1]]) is None


def test_time_per_output_token_leaves_out_the_first():
    assert metrics.time_per_output_token(ROWS) == pytest.approx((1.5 + 1.5) / 18)
    assert metrics.time_per_output_token([row("dsd", tokens=1)]) is None


def test_rejections_are_told_of_all_rounds_or_not_at_all():
    assert metrics.resampling_rate(ROWS) == 2 / 8
    assert metrics.resampling_rate([*ROWS, OLD]) is None
    assert metrics.resampling_rate([alone("cloud_ar", verification_rounds=0, rejections=0)]) is None


def test_positions_are_summed_up_however_long_rounds_were():
    assert metrics.acceptance_per_position(ROWS) == [(4, 3), (2, 1)]
    assert metrics.acceptance_per_position([OLD]) == []


def test_the_bound_leaves_out_what_was_lost():
    assert metrics.phase_seconds(ROWS) == pytest.approx(dict.fromkeys(PHASES, 0.4))
    assert metrics.slowdown_vs_bound(ROWS) == pytest.approx(9 / 6)
    assert metrics.slowdown_vs_bound([*ROWS, OLD]) is None


def test_acceptance_is_of_positions_and_of_all_rows_or_not_known():
    assert metrics.acceptance(ROWS) == 12 / 14  # 6 accepted each; 2 rejections, and none
    assert metrics.acceptance([*ROWS, OLD]) is None
    assert metrics.acceptance([alone("cloud_ar", rejections=0)]) is None
    # As older results have a tree's: 3 positions, of 7 candidates.
    tree = row("tslt_tree", accepted=2, verified=7, acceptance_rate=2 / 7, rejections=1)
    assert metrics.acceptance([tree]) == 2 / 3


def test_a_round_ends_with_a_verification_whatever_exchanges_it_takes():
    lazy = [
        row("dssd_lazy", rounds=6, verification_rounds=4),
        row("dssd_lazy", rounds=4, verification_rounds=4),
    ]
    assert metrics.mean_acceptance_length(lazy) == 20 / 8
    assert metrics.drafts_per_round(lazy) == 24 / 8
    assert metrics.mean_acceptance_length([alone("cloud_ar", verification_rounds=0)]) is None


def test_passes_that_yield_nothing_are_passes():
    assert metrics.passes_per_draft(ROWS) == 28 / 24
    assert metrics.passes_per_draft([*ROWS, OLD]) is None
    assert metrics.passes_per_draft([alone("device_only")]) is None


def test_energy_is_what_the_scenario_says():
    energy = energy_of({"energy": {"per_drafted_token": "80mJ", "per_bit": "100nJ"}})
    assert energy is not None
    assert spent(energy, ROWS) == pytest.approx((28 * 0.08, 2 * 2000 * 8 * 1e-7))
    assert spent(energy, [alone("device_only", tokens=7)]) == pytest.approx((7 * 0.08, 0))
    assert spent(energy, [*ROWS, OLD]) == (None, pytest.approx(3 * 2000 * 8 * 1e-7))
    assert spent(energy, [OLD]).total is None
    assert energy_of({}) is energy_of({"energy": None}) is None
    with pytest.raises(ValueError, match="write a number and one of nJ, uJ, mJ, J"):
        Energy(per_drafted_token="5", per_bit="0")
