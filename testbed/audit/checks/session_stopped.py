"""A session that was stopped before it had done all its work."""

from testbed.audit.base import ResultsCheck


class SessionStopped(ResultsCheck):
    """testbed.results.finalise reports the reason that the journal has."""

    name = "session_stopped"
    level = "invalid"
    limit = (
        "nothing stopped the last session, or its runs at a point of a sweep: no error, no signal, "
        "and no three failed runs in a row"
    )
    remedy = "mend the cause that the reason names, and `testbed run --resume RESULTS`"
