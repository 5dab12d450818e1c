"""Counts of a device during one generation: each such metric is declared once, here.

The device calls the methods of these structs and reports the whole structs; rows of summary.json
hold them as `counts` and `traffic`. To add a metric, declare and count it here and show it in a
table (testbed.analysis.tables): no module in between names it. Give a new field a default; rows of
earlier commits are read with it. The fields below have none, because every row with `counts` and
`traffic` has them all; testbed.results.old_keys completes older rows.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, get_origin

import msgspec
from typing_extensions import Self

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2.0**53)]


class Counts(msgspec.Struct, kw_only=True):
    """Counters and lists of counters, which only grow."""

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
    """Tokens drafted for the verifier; in a tree, every candidate."""
    verified: Count
    """Positions at which drafts were verified; positions after a rejection are not.

    Some older results count each of several candidates for one position."""
    accepted: Count
    """Of the verified positions, those at which a draft was accepted."""
    rejections: Count | None
    """Of the verified positions, those at which every draft was rejected; None in older results."""
    verified_per_position: list[Count]
    """Verified drafts at the first, second, … position of a round."""
    accepted_per_position: list[Count]
    """Accepted drafts at the same positions; per-position acceptance is the ratio of both."""
    draft_lengths: list[Count]
    """Number of verification rounds with drafts at 0, 1, 2, … positions.

    Empty in results of version 2, which lack it."""
    formula_bits: Amount
    """Uplink bits of all drafts by the paper's formula: no prompt, no resampled token ids.

    Of `qs` with `index: support` by the formula of that form, which is not the paper's."""

    def count_verification(
        self, drafted: int, accepted: int, length: int, *, rejected: bool
    ) -> None:
        """Count a verification round of `drafted` tokens on paths of up to `length` positions.

        `accepted` is the length of the accepted path; `rejected` is True if all drafts at the next
        position were rejected.
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
    """Add one to each of the first `positions` counts, in a list of at least `length`."""
    counts += [0] * (length - len(counts))
    counts[:positions] = [count + 1 for count in counts[:positions]]


class Traffic(Counts, kw_only=True):
    """Messages between a device and its verifier, counted at the device.

    Resends are included; headers of the network are not.
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
    """Messages sent again after the connection had been lost."""
    verifier_s: Amount
    """Seconds that the verifier worked on its answers, as reported in them.

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
