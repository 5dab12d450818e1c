"""Messages of the verifier that reached the device with other bytes than were sent."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from testbed.audit.base import GenerationCheck
from testbed.audit.evidence import GenerationEvidence


class MessageBytes(GenerationCheck):
    """The verifier's events and the device's result."""

    name = "message_bytes"
    level = "invalid"
    limit = (
        "0 B of difference between the messages that the verifier sent and that the device "
        "received, unless a connection broke and messages were sent again"
    )
    remedy = "report it: a node counts its messages wrongly"

    @override
    def judge(self, evidence: GenerationEvidence) -> Iterator[str]:
        traffic = evidence.result.traffic
        sent = sum(event["bytes"] for event in evidence.answers if event["event"] == "send")
        if not traffic.resends and sent != traffic.down_bytes:
            device = "the device" if evidence.alone else evidence.device
            yield f"the verifier sent {sent} B of messages, {device} got {traffic.down_bytes}"
