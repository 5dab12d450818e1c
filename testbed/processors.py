"""Whether the nodes had the processors that they asked for, or something else kept them waiting.

The emulation can keep its time on a busy machine, for it goes first; the models cannot, and then
tokens per second say more about the machine than about a method.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from testbed.traces.verdict import Verdict

LIMIT = 0.1
"""The share of a text's time that a node may have waited for a processor."""

_PROC = Path("/proc")
_TICK = 0.01  # seconds: USER_HZ is 100 on every architecture that Mininet runs on


class Processors:
    """Watches, text by text, how long each node was ready to run and did not."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        """`nodes` are the process ids by name."""
        self._nodes = dict(nodes)
        self.start()

    def start(self) -> None:
        """A text starts now."""
        self._began = time.monotonic()
        self._waited = {name: waited(pid) for name, pid in self._nodes.items()}
        self._stolen = stolen()
        self.stop()

    def stop(self) -> None:
        """The text has ended."""
        self._seconds = time.monotonic() - self._began
        self._waited_after = {name: waited(pid) for name, pid in self._nodes.items()}
        self._stolen_after = stolen()

    def judge(self, verdict: Verdict) -> None:
        """Call a text suspect in which a node waited too long, or the machine itself was halted."""
        for name, threads in self._waited_after.items():
            if not threads:
                verdict.add("suspect", f"{name}: this kernel does not tell how long it waited")
                continue
            before = self._waited[name]
            longest = max(now - before.get(thread, 0.0) for thread, now in threads.items())
            if longest > LIMIT * self._seconds:
                verdict.add(
                    "suspect",
                    f"{name} waited {longest:.2f} s of {self._seconds:.2f} s for a processor "
                    f"(limit {LIMIT * 100:g} %): this machine is too busy",
                )
        halted = self._stolen_after - self._stolen
        if halted > LIMIT * self._seconds:
            verdict.add(
                "suspect",
                f"this machine's host withheld its processors for {halted:.1f} s "
                f"of {self._seconds:.1f} s",
            )


def waited(pid: int) -> dict[str, float]:
    """Seconds that each thread of a process was ready and did not run; empty if nobody tells."""
    found = {}
    for task in (_PROC / str(pid) / "task").glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) * 1e-9
        except OSError:
            continue  # it has ended, or this kernel keeps no such statistics
    return found


def stolen() -> float:
    """Seconds that the machine's host gave this machine's processors to others, all together."""
    fields = (_PROC / "stat").read_text().splitlines()[0].split()
    return int(fields[8]) * _TICK
