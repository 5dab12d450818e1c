"""Verdicts of the short calibration, computed without packets."""

import contextlib
from types import SimpleNamespace

import pytest

from testbed.audit.measured_links import LATE, severity, why
from testbed.calibration import link_bench, preflight
from testbed.calibration.preflight import check_links
from testbed.calibration.sending import probe_gap, probes_needed
from testbed.errors import TestbedError
from testbed.links.gilbert_elliott import GilbertElliott
from testbed.links.spec import LinkSpec
from testbed.results.link_check import judge, not_measured


@pytest.mark.parametrize(
    ("loss", "count"), [(0, 1), (0.01, 3), (0.2, 9), (0.5, 20), (0.9, 132), (0.95, None), (1, None)]
)
def test_enough_probes_make_silence_conclusive(loss, count):
    assert probes_needed(LinkSpec(loss=loss)) == count


def test_probes_in_a_burst_prove_less():
    assert probes_needed(LinkSpec(loss=0.1)) == 6
    # Begun in a burst, the first is lost, and each one after it with a chance of 0.8.
    assert probes_needed(LinkSpec(loss=GilbertElliott.of_bursts(0.1, 5))) == 63
    assert probes_needed(LinkSpec(loss=GilbertElliott(0.1, 0.01))) is None
    assert probes_needed(LinkSpec(loss=GilbertElliott(0, 1))) == 2


def test_a_packet_with_a_wrong_bit_does_not_arrive():
    assert probes_needed(LinkSpec(loss=0.5, corrupt=0.5)) == 49


@pytest.mark.parametrize(
    ("rate", "seconds"), [(None, 5e-3), (1e6, 5e-3), (454400, 5e-3), (200e3, 11.36e-3)]
)
def test_probes_do_not_queue_behind_each_other_on_a_slow_link(rate, seconds):
    assert probe_gap(LinkSpec(rate=rate)) == pytest.approx(seconds)


def measured(seconds):
    return judge(
        "radio", "up", "delay, median", "s", requested=0.02, measured=seconds, low=0.019, high=0.021
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0189, "invalid"),  # nothing explains a packet that is early
        (0.019, "valid"),
        (0.021, "valid"),
        (0.0211, "suspect"),
        (0.021 + LATE, "suspect"),
        (0.0211 + LATE, "invalid"),
    ],
)
def test_late_is_suspect_but_very_late_or_early_is_invalid(seconds, expected):
    assert severity(measured(seconds)) == expected


def test_packets_out_of_order_are_invalid_and_what_was_not_measured_is_not():
    assert severity(judge("radio", "up", "out of order", "packets", measured=1.0, high=0.0)) == (
        "invalid"
    )
    assert severity(not_measured("radio", "up", "burst", "s", "no rate")) == "valid"


def test_the_reason_says_what_was_asked():
    assert why(measured(0.03)) == (
        "link radio up: delay, median was 30.00 ms before the run, "
        "where 20.00 ms ± 1.00 ms was asked"
    )
    assert why(measured(0.022)).endswith("was asked (within what a busy machine can cause)")


@pytest.fixture
def check(monkeypatch):
    """Return a function that runs `check_links` on one link, with a measured delay for each try."""
    monkeypatch.setattr(preflight, "LinkBench", lambda network, link: contextlib.nullcontext())
    monkeypatch.setattr(preflight, "realtime_priority", contextlib.nullcontext)
    monkeypatch.setattr(preflight, "_as_runs_begin", contextlib.nullcontext)
    monkeypatch.setattr(link_bench.time, "sleep", lambda seconds: None)

    def run(*delays):
        rest = list(delays)
        monkeypatch.setattr(preflight, "check_link", lambda bench: [measured(rest.pop(0))])
        checks = check_links(SimpleNamespace(declared=["radio"]))
        assert rest == []
        return checks

    return run


@pytest.mark.parametrize("first", [0.022, 0.018, 0.05])
def test_a_link_that_fails_for_a_moment_is_valid(check, first):
    (found,) = check(first, 0.02)
    assert (severity(found), found.note) == ("valid", "measured twice")


def test_a_link_that_stays_late_is_suspect_and_one_that_is_wrong_ends_the_run(check):
    (found,) = check(0.03, 0.022)
    assert severity(found) == "suspect"
    with pytest.raises(TestbedError, match=r"delay, median was 18\.00 ms before the run"):
        check(0.022, 0.018)
