"""Counts begin at zero, each struct with lists of its own, and are read back as they were."""

from __future__ import annotations

import msgspec
import pytest

from testbed.counts import DraftCounts, Traffic


@pytest.mark.parametrize("kind", [DraftCounts, Traffic])
def test_nothing_is_counted_at_first_and_no_two_share_a_list(kind):
    first, second = kind.zero(), kind.zero()
    values = msgspec.structs.astuple(first)
    assert all(value in (0, []) for value in values)
    for value in values:
        if isinstance(value, list):
            value.append(1)
    assert second == kind.zero()


@pytest.mark.parametrize("kind", [DraftCounts, Traffic])
def test_a_count_that_is_missing_or_negative_is_refused(kind):
    whole = msgspec.to_builtins(kind.zero())
    assert msgspec.convert(whole, kind) == kind.zero()
    for key in (field.name for field in msgspec.structs.fields(kind) if field.required):
        for damaged in ({**whole, key: -1}, {k: v for k, v in whole.items() if k != key}):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(damaged, kind)
