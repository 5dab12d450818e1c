"""Jitter: holding times of a link against the distributions, and how scenarios write them."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from testbed.errors import TestbedError
from testbed.links.jitter import Jitter
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import LinkSpec

MANY = 5000
LAWS = ["uniform", "normal", "pareto", "paretonormal"]


def held(delay, jitter, gap=10.0, count=MANY):
    """Return the time for which each packet was held, in seconds."""
    line = Pipeline(LinkSpec(delay=delay, jitter=jitter), RandomKey(1, "radio", "up"))
    for n in range(count):
        line.arrive(n * gap, n.to_bytes(4, "big"))
    leaving = []
    while (departure := line.leave(math.inf)) is not None:
        assert departure.packet.frame == len(leaving).to_bytes(4, "big")
        leaving.append(departure.due)
    return [due - n * gap for n, due in enumerate(leaving)]


def paretonormal_cdf(x):
    """Return the CDF at x: normal + 3 pareto, which both grow with u, inverted on a grid."""
    u = np.linspace(0, 1, 200_001)[1:-1]
    quantiles = (
        norm.ppf(u).clip(-4, 4) + 3 * (4 / 3 * ((1 - u) ** (-1 / 3) - 1.5)).clip(max=4)
    ) / 4
    return np.interp(x, quantiles, u)


CDFS = {
    "uniform": lambda x: (x + 1) / 2,
    "normal": norm.cdf,
    "pareto": lambda x: 1 - (1.5 + 0.75 * x) ** -3.0,  # below the cut at 4
    "paretonormal": paretonormal_cdf,
}


@pytest.mark.parametrize("law", LAWS)
def test_packets_far_apart_are_held_by_the_law(law):
    x = [(hold - 0.1) / 0.02 for hold in held(0.1, Jitter(0.02, law))]
    distance = kstest(x, CDFS[law]).statistic
    print(f"{law}: D = {distance:.4f} at n = {MANY}")
    assert distance <= 1.63 / math.sqrt(MANY)  # 0.023: exceeded by chance once in a hundred


def test_the_tails_end_where_the_tables_of_iproute2_do():
    ends = {"uniform": (-1, 1), "normal": (-4, 4), "pareto": (-2 / 3, 4), "paretonormal": (-1.5, 4)}
    for law, (low, high) in ends.items():
        jitter = Jitter(1, law)
        assert jitter.hold(10, 0.0) == pytest.approx(10 + low)
        assert jitter.hold(10, 1 - 2**-53) == pytest.approx(10 + high, abs=1e-9)
        assert (jitter.shortest(10), jitter.longest(10)) == pytest.approx((10 + low, 10 + high))


@pytest.mark.parametrize(
    ("law", "table"),  # entries of iproute2's tables, over 8192: at 1/4, 1/2, 3/4 and 15/16
    [
        ("normal", (-0.6744, 0.0, 0.6746, 1.5343)),
        ("pareto", (-0.5325, -0.3201, 0.1166, 1.3597)),
        ("paretonormal", (-0.5679, -0.24, 0.256, 1.4033)),
    ],
)
def test_quantiles_are_those_of_the_tables(law, table):
    quantiles = [Jitter(1, law).hold(10, u) - 10 for u in (1 / 4, 1 / 2, 3 / 4, 15 / 16)]
    assert quantiles == pytest.approx(table, abs=5e-4)


@given(
    law=st.sampled_from(LAWS),
    delay=st.floats(min_value=0, max_value=1),
    spread=st.floats(min_value=0, max_value=1),
    u=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_no_hold_is_negative_or_out_of_range(law, delay, spread, u):
    jitter = Jitter(spread, law)
    assert 0 <= jitter.shortest(delay) <= jitter.hold(delay, u) <= jitter.longest(delay)


def test_a_spread_beyond_the_delay_piles_up_at_zero():
    holds = held(0.01, Jitter(0.02, "normal"))
    assert min(holds) == pytest.approx(0, abs=1e-9)
    assert sum(hold < 1e-9 for hold in holds) / MANY == pytest.approx(norm.cdf(-0.5), abs=0.02)


@pytest.mark.parametrize("law", LAWS)
def test_dense_packets_are_never_reordered(law):
    holds = held(0.05, Jitter(0.02, law), gap=1e-4, count=1000)  # which checks the order
    assert statistics.mean(holds) > 0.05


def test_a_change_in_place_takes_the_new_law_for_what_comes():
    line = Pipeline(LinkSpec(delay=1.0), RandomKey(1, "radio", "up"))
    line.arrive(0.0, b"a")
    line.change(0.0, LinkSpec(delay=1.0, jitter=Jitter(0.1, "pareto")))
    line.arrive(100.0, b"b")
    (first, _), (second, _) = line.leave(math.inf), line.leave(math.inf)
    assert first == 1.0
    assert second != 101.0
    assert 101 - 0.1 * 2 / 3 <= second <= 101.4


@pytest.mark.parametrize("law", LAWS)
@given(spread=st.floats(min_value=0, max_value=1))
def test_mapping_round_trip(law, spread):
    spec = LinkSpec(delay=1.0, jitter=Jitter(spread, law))
    assert LinkSpec.parse(spec.to_mapping(), "x") == spec


def test_uniform_is_one_thing_however_written():
    spec = LinkSpec(delay=0.02, jitter=0.005)
    written = {"delay": "20ms", "jitter": {"spread": "5ms", "law": "uniform"}}
    assert LinkSpec.parse(written, "x") == spec
    assert spec.to_mapping()["jitter"] == "5ms"
    assert LinkSpec(jitter=Jitter(0.0, "normal")) == LinkSpec()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"spread": "5ms"}, ".law: this key is missing"),
        ({"law": "normal"}, ".spread: this key is missing"),
        ({"spread": "5", "law": "normal"}, ".spread: '5' is not a time"),
        (
            {"spread": "5ms", "law": "gauss"},
            ".law: 'gauss': choose from normal, pareto, paretonormal, uniform",
        ),
        ({"spread": "5ms", "laws": "normal"}, ".laws: unknown key; allowed are spread, law"),
        ({"spread": "50ms", "law": "uniform"}, ": it must not be more than the delay, 20ms,"),
    ],
)
def test_a_bad_mapping_is_named(written, message):
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse({"delay": "20ms", "jitter": written}, "links.radio.up")
    assert str(caught.value).startswith(f"links.radio.up.jitter{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spread", [-0.1, math.nan])
def test_impossible_values_are_refused(spread):
    with pytest.raises(ValueError, match="spread"):
        Jitter(spread, "normal")
    with pytest.raises(ValueError, match="jitter"):
        LinkSpec(jitter=spread)
