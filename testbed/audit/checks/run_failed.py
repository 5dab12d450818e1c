"""Runs that could not end."""

from testbed.audit.base import ResultsCheck


class RunFailed(ResultsCheck):
    """testbed.results.finalise has the sentences."""

    name = "run_failed"
    level = "invalid"
    limit = "no run's latest attempt failed"
    remedy = "mend the cause that the reason names, and `testbed run --resume RESULTS`"
