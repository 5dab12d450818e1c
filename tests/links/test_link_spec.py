import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.links.spec import LinkSpec


def test_reads_a_mapping():
    spec = LinkSpec.parse(
        {"rate": "5mbit", "delay": "20ms", "jitter": "2ms", "loss": "0.5%", "queue": "100KB"}, "x"
    )
    assert spec == LinkSpec(rate=5e6, delay=0.02, jitter=0.002, loss=0.005, queue=100_000)


def test_an_empty_mapping_is_a_perfect_link():
    assert LinkSpec.parse({}, "x") == LinkSpec(rate=None, delay=0, jitter=0, loss=0)


@pytest.mark.parametrize(
    ("rate", "queue"), [(None, 65536), (1e6, 65536), (5e6, 125_000), (100e6, 2_500_000)]
)
def test_default_queue_is_200_ms_and_at_least_64_kib(rate, queue):
    assert LinkSpec(rate=rate).queue == queue


def test_the_default_queue_follows_a_replaced_rate_of_the_mapping():
    assert LinkSpec.parse({"rate": "50mbit"}, "x").queue == 10 * LinkSpec(rate=5e6).queue


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"dealy": "1ms"}, "links.radio.up.dealy: unknown key; allowed are rate, delay, jitter,"),
        ({"delay": 20}, "links.radio.up.delay: '20' is not a time; write a number and one of us"),
        ({"rate": None}, "links.radio.up.rate: 'None' is not a rate"),
        ({"loss": "1"}, "links.radio.up.loss: '1' is not a percentage"),
        ({"queue": "1KB"}, "links.radio.up.queue: 1KB does not hold one full frame, 1514B"),
        ({"queue": "0"}, "links.radio.up.queue: it holds no packet"),
        (
            {"delay": "1ms", "jitter": "2ms"},
            "links.radio.up.jitter: it must not be more than the delay, 1ms,",
        ),
    ],
)
def test_a_bad_mapping_is_named(mapping, message):
    with pytest.raises(TestbedError) as caught:
        LinkSpec.parse(mapping, "links.radio.up")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"rate": -1.0},
        {"rate": float("nan")},
        {"delay": -1.0},
        {"delay": float("nan")},
        {"delay": 0.1, "jitter": 0.2},
        {"loss": 1.1},
        {"loss": -0.1},
        {"queue": 1513},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ValueError):
        LinkSpec(**values)


@given(
    rate=st.none() | st.floats(min_value=1, max_value=1e12),
    delay=st.floats(min_value=0, max_value=100),
    share=st.floats(min_value=0, max_value=1),
    loss=st.floats(min_value=0, max_value=1),
    queue=st.integers(min_value=1514, max_value=10**9),
)
def test_mapping_round_trip(rate, delay, share, loss, queue):
    spec = LinkSpec(rate=rate, delay=delay, jitter=delay * share, loss=loss, queue=queue)
    assert LinkSpec.parse(spec.to_mapping(), "x") == spec


def test_the_mapping_has_the_defaults_filled_in():
    assert LinkSpec().to_mapping() == {
        "rate": "unlimited",
        "delay": "0us",
        "jitter": "0us",
        "loss": "0%",
        "queue": "64KiB",
        "duplicate": "0%",
        "corrupt": "0%",
        "reorder": "0%",
        "mtu": "1500B",
    }
