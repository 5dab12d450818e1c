import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.links import units

PARSERS = {
    "rate": units.parse_rate,
    "time": units.parse_time,
    "fraction": units.parse_fraction,
    "size": units.parse_size,
    "energy": units.parse_energy,
}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("rate", "10mbit", 10e6),
        ("rate", "1.5 gbit", 1.5e9),
        ("rate", "300kbit", 300e3),
        ("rate", "1bit", 1.0),
        ("time", "20ms", 0.02),
        ("time", "2.5e-3s", 0.0025),
        ("time", "0.00e+00", 0.0),
        ("time", "0.0", 0.0),
        ("rate", "1E3kbit", 1e6),
        ("rate", ".5 mbit", 5e5),
        ("rate", "5.mbit", 5e6),
        ("fraction", "5e-05%", 5e-7),
        ("size", "1e3KB", 10**6),
        ("time", "0.1ms", 0.0001),
        ("time", "7us", 7e-6),
        ("time", "2s", 2.0),
        ("time", "0", 0.0),
        ("fraction", "1%", 0.01),
        ("fraction", "100%", 1.0),
        ("fraction", "0.1%", 0.001),
        ("fraction", "0", 0.0),
        ("size", "64KiB", 65536),
        ("size", "1.5KB", 1500),
        ("size", "2MiB", 2**21),
        ("size", "3MB", 3_000_000),
        ("size", "9B", 9),
    ],
)
def test_reads(kind, text, value):
    assert PARSERS[kind](text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("rate", "10mb"),
        ("rate", "10Mbit"),
        ("rate", "10"),
        ("rate", "0"),
        ("rate", "0mbit"),
        ("rate", "-1mbit"),
        ("rate", "nanmbit"),
        ("rate", "9" * 400 + "mbit"),
        ("rate", " 10mbit"),
        ("rate", "10mbit\n"),
        ("rate", "1e9999mbit"),
        ("rate", "1e3"),
        ("rate", "3,2mbit"),
        ("time", "1e-s"),
        ("time", ".s"),
        ("rate", "٣mbit"),
        ("time", "20"),
        ("time", "-1ms"),
        ("time", "inf s"),
        ("time", "20m"),
        ("time", "ms"),
        ("time", ""),
        ("fraction", "0.01"),
        ("fraction", "101%"),
        ("fraction", "-1%"),
        ("size", "64"),
        ("size", "1.5B"),
        ("size", "64kb"),
    ],
)
def test_refuses(kind, text):
    with pytest.raises(ValueError, match=r"is not a (rate|time|percentage|size); ."):
        PARSERS[kind](text)


def test_says_what_is_allowed():
    with pytest.raises(ValueError) as caught:
        units.parse_rate("10mb")
    assert str(caught.value) == (
        "'10mb' is not a rate; write a number and one of bit, kbit, mbit, gbit, e.g. 10mbit"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (10e6, units.format_rate),
        (0.02, units.format_time),
        (0.01, units.format_fraction),
        (65536, units.format_size),
    ],
)
def test_writes_the_natural_unit(text, written):
    assert written(text) in {"10mbit", "20ms", "1%", "64KiB"}


@pytest.mark.parametrize(
    ("kind", "text", "allowed"),
    [
        ("rate", "1001gbit", "1bit to 1000gbit"),
        ("rate", "0.9bit", "1bit to 1000gbit"),
        ("time", "1000001s", "0us to 1000000s"),
        ("fraction", "100.1%", "0% to 100%"),
        ("size", "1048577MiB", "0B to 1048576MiB"),
        ("energy", "1000001J", "0nJ to 1000000J"),
    ],
)
def test_bounds_are_named_for_each_kind(kind, text, allowed):
    with pytest.raises(ValueError, match=f"^'{text}' is not a .*; it must be {allowed}$"):
        PARSERS[kind](text)


@given(st.floats(min_value=1, max_value=1e12))
def test_rate_round_trip(rate):
    assert units.parse_rate(units.format_rate(rate)) == rate


@given(st.floats(min_value=0, max_value=1e6))
def test_time_round_trip(seconds):
    assert units.parse_time(units.format_time(seconds)) == seconds
    assert math.copysign(1, units.parse_time(units.format_time(seconds))) == 1


@given(st.floats(min_value=0, max_value=1))
def test_fraction_round_trip(fraction):
    assert units.parse_fraction(units.format_fraction(fraction)) == fraction


@given(st.integers(min_value=0, max_value=2**40))
def test_size_round_trip(size):
    assert units.parse_size(units.format_size(size)) == size


@pytest.mark.parametrize("text", ["0", "0mbit", "0.0kbit", "0e9 gbit"])
def test_a_rate_of_0_is_read_where_a_link_may_stand_still(text):
    assert units.parse_rate_or_zero(text) == 0


def test_a_rate_too_small_for_a_float_is_not_0():
    with pytest.raises(ValueError, match="'1e-400mbit' is not a rate; it must be 1bit to"):
        units.parse_rate_or_zero("1e-400mbit")
