"""Classes found by file: neither of two with one name hides the other."""

from __future__ import annotations

import pytest

from testbed.config.by_file import keyed


class One:
    names = ("fixed16", "fixed32")


class Other:
    names = ("fp16",)


class Copy:
    names = ("bf16", "fixed16")


def test_classes_keep_their_order():
    found = keyed([Other, One], lambda kind: kind.names)
    assert found == {"fp16": Other, "fixed16": One, "fixed32": One}
    assert list(found) == ["fp16", "fixed16", "fixed32"]


def test_two_classes_of_one_name_are_both_named():
    with pytest.raises(TypeError, match=r"'fixed16' names two classes, .*\.One and .*\.Copy; "):
        keyed([One, Other, Copy], lambda kind: kind.names)
