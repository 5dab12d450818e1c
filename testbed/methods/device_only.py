"""The draft model decodes by itself: no network, and the draft's quality instead of the target's.

The only method here whose output follows neither the target's distribution p nor a rounded p̂.
"""

from __future__ import annotations

from typing_extensions import override

from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects


class DeviceOnly(Method):
    """The draft decodes."""

    name = "device_only"
    summary = "draft decodes alone; nothing is sent, quality is the draft's"
    paper = "baseline"
    uses_verifier = False

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        while True:
            token = yield from device.drafting(self._next(device))
            yield from device.commit([token])

    def _next(self, device: DeviceContext) -> Effects[int]:
        q = yield from device.next_draft(device.token_ids)
        return device.random.choose(q, "draft", len(device.token_ids))
