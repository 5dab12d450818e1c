"""Two handovers on the topology `handover`, and when packets must arrive around them."""

from __future__ import annotations

from testbed.links.handovers import Handover, held_links
from testbed.links.schedule_syntax import read_schedule
from testbed.links.spec import Duplex, LinkSpec

OLD, NEW, BETWEEN = 0.02, 0.009, 0.004  # seconds: delays of both paths, and of the link `between`
LINKS = {
    name: Duplex(LinkSpec(delay=delay), LinkSpec(delay=delay))
    for name, delay in (("radio", OLD), ("radio_2", NEW - BETWEEN), ("between", BETWEEN))
}
PLAN = [Handover(0.5, "radio_2", 0.06), Handover(1.2, "radio", 0.04)]


def schedules(links, plan):
    """Return the schedules of links that handovers stall."""
    return {
        name: read_schedule(links[name], "run", [], {}, f"links.{name}", holds=holds)
        for name, holds in held_links(plan, "radio").items()
    }


def expected_arrival(direction, sent):
    """Return the arrival of a packet sent at a time, both in seconds from the beginning."""
    if not PLAN[0].time <= sent < PLAN[1].time:
        return _after_stall(sent) + OLD
    if direction == "up":
        return _after_stall(sent) + NEW
    # Down, what comes during the stall is at the other base station when it ends.
    return _after_stall(sent + BETWEEN) + NEW - BETWEEN


def _after_stall(time):
    return next((each.end for each in PLAN if each.time <= time < each.end), time)
