"""Commands and counters inside the namespaces of one Mininet node."""

import contextlib
import ctypes
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from testbed.errors import TestbedError

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class InterfaceCounters(NamedTuple):
    """Packets and bytes that an interface has received and sent; bytes of whole Ethernet frames."""

    rx_bytes: int
    rx_packets: int
    tx_bytes: int
    tx_packets: int


@dataclass(frozen=True, slots=True)
class Namespace:
    """The network and mount namespaces of the process `pid`; `name` is for messages."""

    name: str
    pid: int

    def run(self, argv: Sequence[str]) -> str:
        """Run a command inside and return its output; raise TestbedError if it fails."""
        result = subprocess.run(self.command(argv), capture_output=True, text=True, check=False)
        if result.returncode != 0:
            output = (result.stderr or result.stdout).strip()
            raise TestbedError(f"`{' '.join(argv)}` failed in {self.name}: {output}")
        return result.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread inside for the context; sockets opened in it stay inside."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _set_network(other)
            try:
                yield
            finally:
                _set_network(own)
        finally:
            os.close(own)
            os.close(other)

    def popen(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        """Start a command inside, in a session of its own; the working directory is kept."""
        return subprocess.Popen(self.command(argv), start_new_session=True, **kwargs)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the argument list that runs `argv` inside."""
        return ["mnexec", "-a", str(self.pid), *argv]

    def counters(self) -> dict[str, InterfaceCounters]:
        """Return the counters of each interface except loopback, by name; starts no process."""
        table = Path(f"/proc/{self.pid}/net/dev").read_text().splitlines()[2:]
        counters = {}
        for line in table:
            name, _, numbers = line.partition(":")
            rx_bytes, rx_packets, *_, tx_bytes, tx_packets = numbers.split()[:10]
            if name.strip() != "lo":
                counters[name.strip()] = InterfaceCounters(
                    int(rx_bytes), int(rx_packets), int(tx_bytes), int(tx_packets)
                )
        return counters

    def set_sysctls(self, values: Mapping[str, str]) -> None:
        """Set kernel parameters inside and read them back; raise TestbedError if one differs."""
        self.run(["sysctl", "-q", "-w", *(f"{key}={value}" for key, value in values.items())])
        found = self.sysctls(values)
        for key, value in values.items():
            if (got := found.get(key)) != value:
                raise TestbedError(f"{key} is {got} in {self.name} after it was set to {value}")

    def sysctls(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the values of kernel parameters inside, without those that the kernel lacks."""
        lines = self.run(["sysctl", "-e", *keys]).splitlines()
        pairs = (line.partition("=") for line in lines)
        return {key.strip(): " ".join(value.split()) for key, _, value in pairs}

    def sysctl(self, key: str) -> str:
        """Return the value of one kernel parameter inside."""
        return self.run(["sysctl", "-n", key]).strip()

    def json(self, argv: Sequence[str]) -> Any:
        """Run a command inside that prints JSON; return the decoded value."""
        return json.loads(self.run(argv))


def _set_network(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise TestbedError(f"cannot enter a network namespace: {os.strerror(number)}")
