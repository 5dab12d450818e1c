"""Captures of the links of a run, and the uses of their bytes.

At both hosts of every shaped link tcpdump records all frames. In each direction, and around each
prompt, the frames that one host sent must be those that the link received, the frames that arrived
at the other must be those that it forwarded, and every byte must have a use; see
testbed.pcap.byte_ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from testbed.audit.capture_evidence import CapturedDirection
from testbed.emulation.network import Network
from testbed.pcap.byte_ledger import SentFrames
from testbed.pcap.capture_index import CapturePair, sent_frames, write_captures
from testbed.pcap.tcpdump import Capture


class Captures:
    """The captures of one run, until `stop` or `kill`."""

    def __init__(self, network: Network, links: Sequence[str], folder: Path) -> None:
        """Begin to capture; raise TestbedError when that fails."""
        self._folder = folder
        self._captures: dict[str, list[Capture]] = {}
        with ExitStack() as stack:
            stack.callback(self.kill)
            for link in links:
                self._captures[link] = []
                for inside, name in network.ends(link):
                    path = folder / f"capture.{link}.{inside.name}.pcap"
                    self._captures[link].append(Capture(inside, name, path))
            stack.pop_all()

    def stop(self) -> dict[str, dict[str, CapturedDirection]]:
        """End them all; return the frames by link and direction.

        Raises TestbedError when a capture is not whole.
        """
        try:
            pairs = {
                link: CapturePair(first.stop(), second.stop())
                for link, (first, second) in self._captures.items()
            }
        finally:
            self.kill()
        if pairs:
            write_captures(self._folder, pairs)
        sent = sent_frames(self._folder, pairs)
        return {link: self._by_direction(pair, *sent[link]) for link, pair in pairs.items()}

    def _by_direction(
        self, pair: CapturePair, up: SentFrames, down: SentFrames
    ) -> dict[str, CapturedDirection]:
        first, second = pair.first.address, pair.second.address
        return {
            "up": CapturedDirection(up, pair.second.frames(self._folder, first)),
            "down": CapturedDirection(down, pair.first.frames(self._folder, second)),
        }

    def kill(self) -> None:
        """End them all without reading them."""
        for pair in self._captures.values():
            for capture in pair:
                capture.kill()
