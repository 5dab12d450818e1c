"""Keys that earlier testbeds wrote under other names: one table, and the functions that apply it.

A file, or a line of one, is first read as it is. Where that fails, its old keys are renamed by the
table and it is read again; without an old key the first error stands. Checksums are of the bytes
as written, whatever the keys.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from testbed.files import stored_json
from testbed.files.input_file import read_bytes

T = TypeVar("T")


class OldKeys(NamedTuple):
    """The old keys of one object."""

    moved: Mapping[str, str]
    """Each old key and the path of its value now, `counts.verified` for one within `counts`."""
    lacked: Mapping[str, Any] = {}
    """Paths that such an object may lack, and the values that they get then."""


_FLAT_COUNTS = OldKeys(
    moved={
        "rounds": "counts.rounds",
        "draft_passes": "counts.draft_passes",
        "drafted": "counts.drafted",
        "tested": "counts.verified",
        "accepted": "counts.accepted",
        "rejections": "counts.rejections",
        "tested_at": "counts.verified_per_position",
        "accepted_at": "counts.accepted_per_position",
        "uplink_formula_bits": "counts.formula_bits",
        "uplink_message_bytes": "traffic.up_bytes",
        "uplink_payload_bits": "traffic.up_payload_bits",
        "resends": "traffic.resends",
        "verdicts": "verification_rounds",
        "predicted_tokens_per_round": "predicted_mean_acceptance_length",
        "again": "redecodes",
    },
    lacked={
        "counts.draft_passes": None,
        "counts.rejections": None,
        "counts.verified_per_position": [],
        "counts.accepted_per_position": [],
        "counts.draft_lengths": [],
        "traffic.up_messages": 0,
        "traffic.down_messages": 0,
        "traffic.down_bytes": 0,
        "traffic.verifier_s": 0.0,
    },
)
_FLAT_EVENTS = OldKeys(
    moved={
        key: f"events.{key}"
        for key in (
            "device_compute_s",
            "verifier_compute_s",
            "verify_s",
            "network_s",
            "downlink_payload_bits",
            "downlink_message_bytes",
            "target_tv",
        )
    },
    lacked={"backend": "emulated"},
)
_DIRECTION = OldKeys(moved={"way": "direction"})

OLD_KEYS: dict[tuple[str, int | None], list[tuple[str, OldKeys]]] = {
    ("calibration.json", 1): [("checks[]", _DIRECTION), ("curves[]", _DIRECTION)],
    ("journal.jsonl", None): [
        ("rows[]", _FLAT_COUNTS),
        ("rows[]", _FLAT_EVENTS),
        ("verdict.links[]", _DIRECTION),
    ],
    ("ledger.json", None): [("[]", _DIRECTION)],
    ("summary.json", 2): [("rows[]", _FLAT_COUNTS)],
    ("summary.json", 3): [("rows[]", _FLAT_EVENTS)],
    ("verdict.json", None): [("links[]", _DIRECTION)],
}
"""By file and version (None for a file without one): paths within it, and the old keys there.

`[]` stands for each item of a list. Renaming raises the version by one and goes on with that."""

INHERITED_TCP = {"congestion_control": "inherited"}
"""`tcp` of a scenario.yaml that lacks it: the hosts had the settings of the machine, which is
described in environment.json."""


def read(path: Path, kind: type[T]) -> T:
    """Return a file of results as a `kind`. Raises TestbedError when it cannot be read as one."""
    content = read_bytes(path, str(path), most=sys.maxsize)
    try:
        decoder: msgspec.json.Decoder[T] = stored_json.decoder(kind)  # type: ignore[arg-type]
        return decode(path.name, decoder, content)
    except stored_json.UNREADABLE as error:
        raise stored_json.unreadable(str(path), error) from None


def decode(name: str, decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """Decode the file `name`, or a line of it, with old keys renamed if it has any.

    Raises the decoder's errors.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        value = msgspec.json.decode(content)
        if not _renew(name, value):
            raise
        return decoder.decode(msgspec.json.encode(value))


def _renew(name: str, value: Any) -> bool:
    """Rename the old keys in the content of a file, up to its newest version.

    Return False if it has none.
    """
    version = value.get("version") if isinstance(value, dict) else None
    if not (version is None or type(version) is int) or (name, version) not in OLD_KEYS:
        return False
    items = [
        _renew_item(item, keys)
        for where, keys in OLD_KEYS[name, version]
        for item in _items(value, re.findall(r"\[\]|[^.[]+", where))
    ]
    if version is None:
        return any(items)
    value["version"] = version + 1
    _renew(name, value)
    return True


def _items(value: Any, path: list[str]) -> Iterator[dict[str, Any]]:
    """Yield each object at a path."""
    if not path:
        if isinstance(value, dict):
            yield value
    elif path[0] == "[]":
        for item in value if isinstance(value, list) else ():
            yield from _items(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _items(value[path[0]], path[1:])


def _renew_item(item: dict[str, Any], keys: OldKeys) -> bool:
    """Move the values of old keys to their paths; return False if there are none."""
    found = {new: item.pop(old) for old, new in keys.moved.items() if old in item}
    for path, value in {**keys.lacked, **found}.items() if found else ():
        *parents, last = path.split(".")
        inner: Any = item
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                return False  # damage, which whoever decodes it names
        inner.setdefault(last, value)
    return bool(found)
