"""What a device counts while it decodes one generation: each such metric is declared once, here.

The device calls the methods of these structs and reports them whole; rows of summary.json hold them
as `counts` and `traffic`. To add a metric, declare and count it here, and show it in a table
(testbed.analysis.tables): nothing in between names it. A field that is added has a default, which
rows of earlier commits get.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, get_origin

import msgspec
from typing_extensions import Self

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2.0**53)]


class Counts(msgspec.Struct, kw_only=True):
    """Numbers, and lists of numbers, that are counted up."""

    @classmethod
    def zero(cls) -> Self:
        """Return a struct in which every number is 0 and every list empty."""
        zeros: dict[str, int | list[int]] = {
            each.name: [] if get_origin(each.type) is list else 0
            for each in msgspec.structs.fields(cls)
        }
        return msgspec.convert(zeros, cls)


class DraftCounts(Counts, kw_only=True):
    """Drafts and their verification.

    A *round* is an exchange with the verifier. A *verification round* ends in a verification of
    drafts; most methods need one exchange for it, some two. Of several candidates for one position,
    as in a tree, that position counts once.
    """

    rounds: Count
    """Exchanges with the verifier: a question and its answer."""
    draft_passes: Count | None
    """Forward passes of the draft model, also those that yielded no draft.

    None in older results, which did not count them."""
    drafted: Count
    """Tokens drafted for the verifier: every candidate."""
    verified: Count
    """Positions at which drafts were verified: none behind a rejection.

    Some older results counted several candidates for one position as several."""
    accepted: Count
    """Of the verified positions, those at which a draft was accepted."""
    rejections: Count | None
    """Of the verified positions, those at which every draft was rejected; None in older results."""
    verified_per_position: list[Count]
    """Verified positions that were the first, second, … of a round's drafts."""
    accepted_per_position: list[Count]
    """Of these, how many were accepted: per-position acceptance is the ratio of both."""
    draft_lengths: list[Count]
    """Verification rounds that drafted 0, 1, 2, … positions in a row.

    Empty in results of version 2, which lack it."""
    formula_bits: Amount
    """Uplink bits of all drafts by the paper's formula: no prompt, no resampled token ids."""

    def count_verification(
        self, drafted: int, accepted: int, length: int, *, rejected: bool
    ) -> None:
        """Count a verification round of `drafted` tokens on paths of up to `length` positions.

        `accepted` is the length of the accepted path; `rejected` is true where drafts stood behind
        it, of which none was accepted.
        """
        verified = accepted + rejected
        self.drafted += drafted
        self.verified += verified
        self.accepted += accepted
        self.rejections = self.verified - self.accepted
        self.draft_lengths += [0] * (length + 1 - len(self.draft_lengths))
        self.draft_lengths[length] += 1
        _count_positions(self.verified_per_position, verified, length)
        _count_positions(self.accepted_per_position, accepted, length)


def _count_positions(counts: list[int], positions: int, length: int) -> None:
    """Add one to each of the first `positions` of a round of so many."""
    counts += [0] * (length - len(counts))
    counts[:positions] = [count + 1 for count in counts[:positions]]


class Traffic(Counts, kw_only=True):
    """Messages between a device and its verifier, as the device sends and receives them.

    Resends are included, frames and headers of the network are not.
    """

    up_messages: Count
    """Messages sent; 0 in results of version 2, which lack it."""
    up_bytes: Count
    """Bytes of the messages sent, as handed to ZeroMQ: header and payload."""
    up_payload_bits: Count
    """Bits of their payloads as the codec wrote them: without header and padding."""
    down_messages: Count
    """Messages received; 0 in results of version 2, which lack it."""
    down_bytes: Count
    """Bytes of the messages received; 0 in results of version 2, which lack it."""
    resends: Count
    """Messages sent once more because the line had been lost."""
    verifier_s: Amount
    """Seconds that the verifier worked on its answers, as these say.

    0 in results of version 2, which lack it."""

    def count_sent(self, size: int, payload_bits: int) -> None:
        """Count a message of `size` bytes that the device sent."""
        self.up_messages += 1
        self.up_bytes += size
        self.up_payload_bits += payload_bits

    def count_received(self, size: int) -> None:
        """Count a message of `size` bytes that the device received."""
        self.down_messages += 1
        self.down_bytes += size
