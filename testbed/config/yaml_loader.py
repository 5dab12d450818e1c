"""Strict reading of YAML, and replacing single values of what was read."""

from __future__ import annotations

from typing import Any

import yaml
from typing_extensions import override

from testbed.bounds import DEEPEST, MOST_REPEATED
from testbed.config.yaml_scalars import Dumper, Loader
from testbed.errors import TestbedError

_TOO_DEEP = f"it is nested more than {DEEPEST} levels deep"
_TOO_LARGE = f"aliases stand for more than {MOST_REPEATED:,} values"
_SHORT = {"methods": "method", "models": "model"}
"""Sections whose entries may be only a name, and the key of that name in a mapping."""


class _Part:
    """A value that is being read: its anchor, depth and size."""

    def __init__(self, anchor: str | None) -> None:
        self.anchor = anchor
        self.height = 0
        """The levels of mappings and lists in it."""
        self.size = 1
        """The number of values in it, itself included; an alias counts as all its values."""


class _Loader(Loader):
    """Refuses keys given twice, of which PyYAML would silently keep the last.

    It also refuses values that are nested too deeply or contain themselves, and aliases that stand
    for too many values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._within = [_Part(None)]  # the document, then the values being read, outermost first
        self._named: dict[str, _Part] = {}
        self._repeated = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]
        anchor = event.anchor
        mark: Any = event.start_mark
        alias = isinstance(event, yaml.AliasEvent)
        if alias and anchor in [part.anchor for part in self._within]:
            raise yaml.composer.ComposerError(None, None, f"*{anchor} stands within itself", mark)
        part = _Part(anchor)
        self._within.append(part)
        if len(self._within) - 1 > DEEPEST:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, mark)
        node = super().compose_node(parent, index)
        self._within.pop()
        if anchor is not None:
            part = self._named.setdefault(anchor, part)
        outer = self._within[-1]
        outer.size += part.size
        self._repeated += part.size if alias else 0
        outer.height = max(outer.height, 1 + part.height)
        if len(self._within) + part.height > DEEPEST:
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, mark)
        if self._repeated > MOST_REPEATED:
            raise yaml.composer.ComposerError(None, None, _TOO_LARGE, mark)
        return node

    @override
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # whatever Python raises for numbers, dates and tags
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"it cannot be read as {kind}", node.start_mark
            ) from None

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # SafeLoader refuses it
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key.value}' is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    @override
    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        # JSON writes an emoji as two escapes, a surrogate pair, which PyYAML leaves as they are.
        try:
            return super().construct_scalar(node).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise yaml.constructor.ConstructorError(
                None, None, "half a surrogate pair is not a character", node.start_mark
            ) from None


def dump_yaml(value: Any) -> str:
    """Write a value as YAML that `parse_yaml` reads back as the same value."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def parse_yaml(text: str, where: str) -> Any:
    """Return the content of a YAML text. Raises TestbedError with the line of a mistake."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise TestbedError(f"{where}: {line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise TestbedError(f"{where}: {' '.join(str(error).split())}") from None


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Replace one value of `raw`, in place, as `--set` asks.

    `change` is KEY.KEY=VALUE, such as links.radio.up.rate=2mbit or methods.0.draft_length=6. A
    method or model that is only a name becomes a mapping first. Raises TestbedError for a change
    that cannot be made.
    """
    path, equals, value = change.partition("=")
    if not equals or not all(path.split(".")):
        raise TestbedError(f"--set {change}: write it as KEY.KEY=VALUE")
    set_value(raw, path, parse_yaml(value, f"--set {change}"), f"--set {change}")


def get_value(raw: Any, path: str) -> Any:
    """Return the value at KEY.KEY, which `set_value` has put there."""
    for key in path.split("."):
        raw = raw[int(key)] if isinstance(raw, list) else raw[key]
    return raw


def set_value(raw: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Replace the value at KEY.KEY in place.

    Raises TestbedError, beginning with `where`, for a key that is too long or not in `raw`.
    """
    keys = path.split(".")
    if len(keys) > DEEPEST:
        raise TestbedError(f"{where}: a key has {len(keys)} parts; at most {DEEPEST} are allowed")
    inner: Any = raw
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(inner, list):
            if not key.isdecimal() or int(key) >= len(inner):
                name = ".".join(keys[:i])
                raise TestbedError(
                    f"{where}: '{key}' is not an entry of {name}, which has {len(inner)}, "
                    "counted from 0"
                )
            at: Any = int(key)
        elif isinstance(inner, dict):
            at = key
            if not last:
                inner.setdefault(key, {})
        else:
            raise TestbedError(f"{where}: '{'.'.join(keys[:i])}' has no keys of its own")
        if not last and keys[0] in _SHORT and isinstance(inner[at], str):
            inner[at] = {_SHORT[keys[0]]: inner[at]}
        if last:
            inner[at] = value
        else:
            inner = inner[at]
