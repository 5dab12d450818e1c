"""A wire shaped by the netem of a guest kernel, where the host's own has none.

port-a == bridge == tap-a -> guest: vec0 == bridge == vec1 -> tap-b == bridge == port-b

Only the wire is in the guest: real netem shapes at vec1 (up) and vec0 (down), while the nodes run
outside at full speed.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.emulation.ethernet import offloads_off
from testbed.emulation.guest_kernel import guest_command
from testbed.emulation.netem_wire import NetemWire, bridge
from testbed.emulation.tc import Tc
from testbed.emulation.wire import PORT_A, PORT_B
from testbed.errors import TestbedError
from testbed.punctual import go_first

_INIT = Path(__file__).with_name("guest_wire.sh")
_MEMORY = 64  # MB
_TAPS = {"tap-a": PORT_A, "tap-b": PORT_B}
_QUEUE = 4096  # packets between the host and the guest


class GuestNetemWire(NetemWire):
    """Boots a guest kernel in the wire's namespace, and shapes there."""

    backend = "guest netem"
    shaped = {"up": "vec1", "down": "vec0"}  # noqa: RUF012

    def start(self) -> "subprocess.Popen[bytes]":
        """Boot the guest."""
        self._files = tempfile.TemporaryDirectory(prefix="testbed-guest-")
        vectors = [
            f"vec{number}:transport=tap,ifname={tap},depth=128,gro=0"
            for number, tap in enumerate(_TAPS)
        ]
        for tap in _TAPS:
            self.inside.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"])
            offloads_off(self.inside, tap)
            # Up before the guest is: what it sends into a TAP that is down blocks it for good.
            self.inside.run(["ip", "link", "set", "dev", tap, "txqueuelen", str(_QUEUE), "up"])
        return self.inside.popen(
            [
                "nice",
                "-n",
                "-20",
                *guest_command(_INIT, _MEMORY, self._files.name, [*vectors, "con0=fd:0,fd:1"]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def await_ready(self, tc: Tc) -> None:
        """Wait for the guest's own word that its interfaces are up; from then on it goes first."""
        said = []
        try:
            while (line := tc.line().strip()) != "guest wire ready":
                said.append(line)
        except TestbedError as error:
            raise TestbedError(
                f"the guest kernel of link {self.name} did not start: {_gist(said)}; "
                "use `--backend relay`"
            ) from error
        # Not before: a guest that boots in real time has been seen to hang.
        self._realtime = go_first(self._process.pid)

    def join(self) -> None:
        """Bridge each port with its TAP device."""
        for tap, port in _TAPS.items():
            bridge(self.inside, f"br-{tap}", (port, tap))

    def state(self) -> Mapping[str, Any]:
        """What `tc` shows inside, and whether the guest goes before all that is ordinary."""
        return {**super().state(), "realtime": self._realtime}

    def pin(self, core: int) -> None:
        """Keep the guest on one processor."""
        os.sched_setaffinity(self._process.pid, {core})

    def stop(self) -> None:
        """End the guest."""
        super().stop()
        self._files.cleanup()


def _gist(said: list[str]) -> str:
    """Of all that a kernel says when it dies, what tells why."""
    panic = [number for number, line in enumerate(said) if "panic" in line]
    end = panic[0] + 1 if panic else len(said)
    return "; ".join(said[max(0, end - 2) : end]) or "it said nothing"
