import pytest

from testbed.emulation.ping import expected_round_trip, probes_needed
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.jitter import Jitter
from testbed.links.spec import Duplex, LinkSpec
from tests.emulation.inside import symmetric


def test_the_round_trip_is_both_delays_and_the_sending():
    low, high = expected_round_trip(
        Duplex(up=LinkSpec(rate=98 * 8 * 100, delay=0.02), down=LinkSpec(delay=0.03, jitter=0.01))
    )
    assert low == pytest.approx(0.06 - 0.01 - 0.0002)
    assert high == pytest.approx(0.06 + 0.01 + 0.005)


@pytest.mark.parametrize(
    ("law", "least", "most"),
    [("uniform", 0.01, 0.03), ("normal", 0, 0.06), ("pareto", 0.02 - 0.02 / 3, 0.06)],
)
def test_the_round_trip_has_the_range_of_the_law(law, least, most):
    spec = LinkSpec(delay=0.02, jitter=Jitter(0.01, law))
    low, high = expected_round_trip(Duplex(up=spec, down=LinkSpec()))
    assert low == pytest.approx(least - 0.0002)
    assert high == pytest.approx(most + 0.005)


@pytest.mark.parametrize(
    ("loss", "count"), [(0, 5), (0.01, 5), (0.2, 14), (0.5, 49), (0.9, None), (1, None)]
)
def test_enough_probes_make_silence_conclusive(loss, count):
    assert probes_needed(symmetric(loss=loss)) == count


def test_probes_in_a_burst_prove_less():
    single, bursts = LinkSpec(loss=0.1), LinkSpec(loss=GilbertElliott.of_bursts(0.1, 5))
    assert probes_needed(Duplex(single, LinkSpec())) == 6
    # Begun in a burst, the first is lost, and each one after it with a chance of 0.8.
    assert probes_needed(Duplex(bursts, LinkSpec())) == 63
    assert 63 < probes_needed(Duplex(bursts, bursts)) < 200
    assert probes_needed(Duplex(LinkSpec(loss=GilbertElliott(0.1, 0.01)), LinkSpec())) is None
    assert probes_needed(Duplex(LinkSpec(loss=GilbertElliott(0, 1)), LinkSpec())) == 5
