"""Runs that have not ended, as the session was interrupted or stopped before."""

from testbed.audit.base import ResultsCheck


class RunMissing(ResultsCheck):
    """testbed.results.finalise has the sentences; until then, testbed.experiment.launcher."""

    name = "run_missing"
    level = "invalid"
    limit = "all runs of the scenario have ended"
    remedy = "`testbed run --resume RESULTS`"
