"""Runs on a network of which the journal has no line."""

from testbed.audit.base import ResultsCheck


class NetworkMissing(ResultsCheck):
    """testbed.results.directory has the sentence."""

    name = "network_missing"
    level = "invalid"
    limit = "the journal has the measurement of the network of every run"
    remedy = "restore journal.jsonl, or run the scenario anew"
