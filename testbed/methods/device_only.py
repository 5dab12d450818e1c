"""The draft model decodes by itself: no network, and the draft's quality instead of the target's.

The only method here whose output follows neither the target's distribution p nor a rounded p̂.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext


class DeviceOnly(Method):
    """The draft decodes."""

    name = "device_only"
    summary = "draft decodes alone; nothing is sent, quality is the draft's"
    paper = "baseline"
    uses_verifier = False

    @override
    def device(self, device: DeviceContext) -> Iterator[list[int]]:
        while True:
            with device.trace.span("draft", device.stream):
                q = device.next_draft(device.token_ids)
                token = device.random.choose(q, "draft", len(device.token_ids))
            yield [token]
