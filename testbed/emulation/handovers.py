"""Makes handovers: changes the routes between the device and its anchor, on time."""

import subprocess
import threading
from collections.abc import Mapping, Sequence

from testbed import clock
from testbed.emulation.namespace import Namespace
from testbed.emulation.player import Applied
from testbed.emulation.tc import Tc
from testbed.emulation.tcp_timers import require_rto_min, rto_min
from testbed.errors import TestbedError
from testbed.host.machine_errors import sentence
from testbed.links.handovers import Handover


class Ip(Tc):
    """An `ip` that stays, in one host."""

    program = "ip"

    def __init__(self, inside: Namespace) -> None:
        process = inside.popen(
            ["ip", "-force", "-j", "-batch", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        super().__init__(process, f"host {inside.name}")

    def replace(self, route: str) -> None:
        """Put a route in the place of the one to the same address, and read it back."""
        target, *_ = route.split()
        (shown,) = self.run(
            f"route replace {' '.join([route, *rto_min()])}", f"route show {target}"
        )
        wanted = _as_shown(route)
        got = [{key: each.get(key) for key in wanted} for each in shown]
        if got != [wanted]:
            raise TestbedError(f"{self._where}: the route to {target} is {got}, not {wanted}")
        require_rto_min(shown[0], self._where)


class Handovers:
    """Keeps the path of a topology, and changes it as planned with a thread of this process.

    paths: by the radio link in use, the routes of hosts, as topology_paths tells; without any,
    nothing is done.
    inside: the namespaces of the hosts.

    Raises TestbedError when a host does not take the routes of the first path, or would drop what
    comes by another link than the one it would answer by.
    """

    def __init__(
        self,
        paths: Mapping[str, Mapping[str, str]],
        inside: Mapping[str, Namespace],
        plan: Sequence[Handover],
    ) -> None:
        self._paths = paths
        self._plan = plan
        self._applied: list[Applied] = []
        self._playing: threading.Thread | None = None
        self._stop_playing = threading.Event()
        self._failure: TestbedError | None = None
        hosts = {host for routes in paths.values() for host in routes}
        self._ips = {host: Ip(inside[host]) for host in sorted(hosts)}
        try:
            for host in self._ips:
                _require_no_filter(inside[host])
            self.reset()
        except BaseException:
            self.stop()
            raise

    def reset(self) -> None:
        """End what is planned, and go back to the first path."""
        self._end_playing()
        self._applied = []
        for path in list(self._paths)[:1]:
            self._take(path)

    def begin(self, at: float) -> None:
        """Make the planned handovers, whose time 0 is `at` of testbed.clock."""
        self.reset()
        self._stop_playing.clear()
        self._playing = threading.Thread(target=self._play, args=(at,), daemon=True)
        self._playing.start()

    def end(self) -> None:
        """Make no more handovers; raise TestbedError if one has failed."""
        self._end_playing()
        self.check()

    def applied(self) -> list[Applied]:
        """The paths that were taken since `begin`, in the order of the plan."""
        return list(self._applied)

    def check(self) -> None:
        """Raise TestbedError if a handover failed."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Make no more handovers. Stopping twice is allowed."""
        self._end_playing()
        for ip in self._ips.values():
            ip.kill()

    def _play(self, began: float) -> None:
        try:
            for handover in self._plan:
                due = began + handover.time
                if self._stop_playing.wait(clock.real(max(0.0, due - clock.now()))):
                    return
                self._take(handover.to)
                self._applied.append(Applied(due, clock.now()))
        except Exception as error:  # none may be lost in a thread
            reason = sentence(error)
            self._failure = TestbedError(f"the handover to {handover.to} failed: {reason}")

    def _take(self, path: str) -> None:
        for host, route in self._paths[path].items():
            self._ips[host].replace(route)

    def _end_playing(self) -> None:
        self._stop_playing.set()
        if self._playing is not None:
            self._playing.join()
            self._playing = None


def _require_no_filter(host: Namespace) -> None:
    for name in ("all", *host.counters()):
        if host.sysctl(f"net/ipv4/conf/{name}/rp_filter") != "0":
            raise TestbedError(
                f"the reverse-path filter of {name} in {host.name} is on, and would drop packets "
                "at a handover"
            )


def _as_shown(route: str) -> dict[str, str | None]:
    """A route in the words of `ip -j route`."""
    target, *words = route.split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    return {
        "dst": target,
        "gateway": given.get("via"),
        "dev": given["dev"],
        "prefsrc": given.get("src"),
    }
