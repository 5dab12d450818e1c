"""Fixtures that read the sent bits from traces."""

import pytest

from testbed.events import Tracer


@pytest.fixture
def sent_bits(monkeypatch):
    """Payload bits of each round's upload and each download, as the traces tell."""
    bits = {"device": [], "verifier": []}

    def event(self, name, stream, **fields):
        if name == "send" and fields.get("message", "Reply") in ("Round", "Reply"):
            bits[self._node].append(fields["payload_bits"])

    monkeypatch.setattr(Tracer, "event", event)
    return bits
