"""Make handovers: change the routes between the device and its anchor, on time."""

import subprocess
import threading
from collections.abc import Mapping, Sequence

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.emulation.route_metrics import RouteMetrics
from testbed.emulation.tc import Tc
from testbed.errors import TestbedError
from testbed.host.machine_errors import sentence
from testbed.links.handovers import Handover
from testbed.links.schedule_cursor import Applied


class Ip(Tc):
    """An `ip -batch` process that stays open in one host; routes get the metrics."""

    program = "ip"

    def __init__(self, inside: Namespace, metrics: RouteMetrics) -> None:
        self._metrics = metrics
        process = inside.popen(
            ["ip", "-force", "-j", "-batch", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        super().__init__(process, f"host {inside.name}")

    def replace(self, route: str) -> None:
        """Replace the route to the same address by `route`, and read it back.

        route: as `ip route` takes it. Raises TestbedError if `ip` shows another route afterwards.
        """
        target, *_ = route.split()
        (shown,) = self.run(
            f"route replace {' '.join([route, *self._metrics.words()])}", f"route show {target}"
        )
        wanted = _as_shown(route)
        got = [{key: each.get(key) for key in wanted} for each in shown]
        if got != [wanted]:
            raise TestbedError(f"{self._where}: the route to {target} is {got}, not {wanted}")
        self._metrics.require(shown[0], self._where)


class Handovers:
    """The device's path through a topology, changed at the planned times by a thread.

    paths: for each radio link, the route of each host while the device uses it, as topology_paths
    returns them; if empty, nothing is done.
    inside: the namespaces of the hosts, by name.
    plan: the handovers, in order of time.
    metrics: of all routes.

    Raises TestbedError when a host does not take the routes of the first path, or when its
    reverse-path filter would drop packets that come in by another link than its route leads out.
    """

    def __init__(
        self,
        paths: Mapping[str, Mapping[str, str]],
        inside: Mapping[str, Namespace],
        plan: Sequence[Handover],
        metrics: RouteMetrics,
    ) -> None:
        self._paths = paths
        self._plan = plan
        self._applied: list[Applied] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failure: TestbedError | None = None
        hosts = {host for routes in paths.values() for host in routes}
        self._ips = {host: Ip(inside[host], metrics) for host in sorted(hosts)}
        try:
            for host in self._ips:
                _require_no_filter(inside[host])
            self.reset()
        except BaseException:
            self.stop()
            raise

    def reset(self) -> None:
        """Drop the handovers still to come, and go back to the first path."""
        self._stop_thread()
        self._applied = []
        for path in list(self._paths)[:1]:
            self._take(path)

    def begin(self, at: float) -> None:
        """Start the planned handovers; their time 0 is `at`, in seconds of testbed.clock."""
        self.reset()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._make_planned, args=(at,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop making handovers; raise TestbedError if one has failed."""
        self._stop_thread()
        self.check()

    def applied(self) -> list[Applied]:
        """Return the handovers made since `begin`, in the order of the plan."""
        return list(self._applied)

    def check(self) -> None:
        """Raise TestbedError if a handover failed."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop making handovers and end the `ip` processes. Stopping twice is allowed."""
        self._stop_thread()
        for ip in self._ips.values():
            ip.kill()

    def _make_planned(self, began: float) -> None:
        try:
            for handover in self._plan:
                due = began + handover.time
                if self._stopping.wait(clock.real(max(0.0, due - clock.now()))):
                    return
                self._take(handover.to)
                self._applied.append(Applied(due, clock.now()))
        except Exception as error:  # an error in a thread must not get lost
            reason = sentence(error)
            self._failure = TestbedError(f"the handover to {handover.to} failed: {reason}")

    def _take(self, path: str) -> None:
        for host, route in self._paths[path].items():
            self._ips[host].replace(route)

    def _stop_thread(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _require_no_filter(host: Namespace) -> None:
    for name in ("all", *host.counters()):
        if host.sysctl(f"net/ipv4/conf/{name}/rp_filter") != "0":
            raise TestbedError(
                f"the reverse-path filter of {name} in {host.name} is on, and would drop packets "
                "at a handover"
            )


def _as_shown(route: str) -> dict[str, str | None]:
    """Return a route, given as `ip route` takes it, as `ip -j route` shows it."""
    target, *words = route.split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    return {
        "dst": target,
        "gateway": given.get("via"),
        "dev": given["dev"],
        "prefsrc": given.get("src"),
    }
