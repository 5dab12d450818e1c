"""A wire shaped by the netem of a guest kernel, where the host's own has none.

port-a == bridge == tap-a -> guest: vec0 == bridge == vec1 -> tap-b == bridge == port-b

Only the wire is in the guest: netem shapes at vec1 (up) and vec0 (down). The nodes run outside, at
full speed.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from testbed.emulation.ethernet import offloads_off
from testbed.emulation.guest_kernel import guest_command
from testbed.emulation.netem import USE_RELAY
from testbed.emulation.netem_wire import NetemWire, bridge
from testbed.emulation.tc import SilentError, Tc
from testbed.emulation.wire import PORT_A, PORT_B
from testbed.errors import TestbedError
from testbed.host.machine_errors import recognise
from testbed.host.process_endings import await_end
from testbed.host.realtime import PATIENCE, set_fifo_priority

_INIT = Path(__file__).with_name("guest_wire.sh")
_STARTS, _READY = "guest wire starts", "guest wire ready"  # printed by guest_wire.sh
_TRIES = 2
_MEMORY = 64  # MB
_TAPS = {"tap-a": PORT_A, "tap-b": PORT_B}
_QUEUE = 4096  # packets between the host and the guest
_REAPED = 1.0  # seconds to wait for the guest to end after its output has ended


class GuestNetemWire(NetemWire):
    """A wire whose frames pass through a guest kernel, where netem shapes them."""

    backend = "guest netem"
    shaped = {"up": "vec1", "down": "vec0"}  # noqa: RUF012

    @override
    def start(self) -> Tc:
        # Twice at most. Once it is ready, the guest runs before ordinary processes.
        self._files = tempfile.TemporaryDirectory(prefix="testbed-guest-")
        began = time.monotonic()
        for _ in range(_TRIES):
            tc = self._boot()
            try:
                why = _await_ready(tc)
                if why is None:
                    # Only now: a guest that boots with real-time priority has been seen to hang.
                    self._realtime = set_fifo_priority(tc.process.pid)
                    return tc
            except BaseException:
                tc.kill()
                raise
            tc.kill()
        self._files.cleanup()
        raise TestbedError(
            f"the guest kernel of link {self.name} did not start, {_TRIES} times in "
            f"{time.monotonic() - began:.0f} s: {why}; {USE_RELAY}"
        )

    def _boot(self) -> Tc:
        """Create the guest's devices, without those of an earlier try, and start its kernel."""
        for tap in _TAPS:
            if tap in self.inside.counters():  # left by the first try
                self.inside.run(["ip", "link", "del", "dev", tap])
            self.inside.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"])
            offloads_off(self.inside, tap)
            # Up before the guest boots: a frame sent into a TAP that is down blocks it for good.
            self.inside.run(["ip", "link", "set", "dev", tap, "txqueuelen", str(_QUEUE), "up"])
        vectors = [
            f"vec{number}:transport=tap,ifname={tap},depth=128,gro=0"
            for number, tap in enumerate(_TAPS)
        ]
        kernel = guest_command(_INIT, _MEMORY, self._files.name, [*vectors, "con0=fd:0,fd:1"])
        return self.talk(["nice", "-n", "-20", *kernel])

    @override
    def join(self) -> None:
        for tap, port in _TAPS.items():
            bridge(self.inside, f"br-{tap}", (port, tap))

    @override
    def state(self) -> Mapping[str, Any]:
        return {**super().state(), "realtime": self._realtime}

    @override
    def pin(self, core: int) -> None:
        os.sched_setaffinity(self._process.pid, {core})

    @override
    def stop(self) -> None:
        super().stop()
        self._files.cleanup()


def _await_ready(tc: Tc) -> str | None:
    """Wait until the guest prints that its interfaces are up; return the reason if it does not."""
    lines: list[str] = []
    try:
        while (line := tc.line().strip()) != _READY:
            lines.append(line)
    except SilentError:
        return "; ".join([*_gist(lines), f"it said nothing for {PATIENCE:g} s"])
    except TestbedError:
        last = _gist(lines) or [f"it said nothing ({await_end(tc.process, _REAPED)})"]
        limit = recognise("\n".join(last))
        return "; ".join([*last, limit] if limit else last)
    return None


def _gist(lines: list[str]) -> list[str]:
    """Return the lines of a guest's output that explain its death.

    They are the lines printed since its init script began, or else the kernel's last two.
    """
    panic = [number for number, line in enumerate(lines) if "panic" in line]
    end = panic[0] + 1 if panic else len(lines)
    begin = lines.index(_STARTS) + 1 if _STARTS in lines else max(0, end - 2)
    return [line for line in lines[begin:end] if not line.startswith("dmesg(1)")]
