"""The interface of methods: a device half and a verifier half, both generators of effects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from testbed.config.by_file import find_named
from testbed.config.convert import convert
from testbed.drafting.base import DraftLength
from testbed.drafting.policies import start_policy
from testbed.errors import TestbedError
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.verifier_context import VerifierContext


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a method that has none."""


class Method(ABC):
    """A split of decoding between a device and a verifier.

    One instance serves one half of one generation, so it may keep state between rounds. A subclass
    in a module of its own in this package is found by its `name`; nothing else has to be
    registered.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for `testbed methods`."""
    paper: ClassVar[str]
    uses_draft: ClassVar[bool] = True
    uses_verifier: ClassVar[bool] = True
    Options: ClassVar[type[msgspec.Struct]] = NoOptions

    def __init__(self, options: Any, vocabulary_size: int) -> None:
        """`options` is an instance of this class's Options."""
        self.options = options
        self.vocabulary_size = vocabulary_size

    @abstractmethod
    def device(self, device: DeviceContext) -> Effects[None]:
        """Decode on the device, and commit tokens; need not end by itself.

        Committed tokens are appended to `device.token_ids`, cut where the generation ends. Then the
        half is not resumed.
        """

    def draft_length(self) -> DraftLength:
        """Return the policy of the option `draft_length`; without it, one that never drafts."""
        return start_policy(getattr(self.options, "draft_length", 0))

    def most_drafts(self, room: int) -> int:
        """Return the largest number of drafts in a round.

        A chain of drafts, or a path through a tree of them, may have up to `room` tokens.
        """
        return room

    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        """Answer one round: extend `verifier.token_ids`, reply with each part of the answer.

        `drafts` is the number of drafted tokens in the upload. Raises PayloadError when the upload
        is damaged.
        """
        raise NotImplementedError(f"{self.name} never asks the verifier")


def methods() -> dict[str, type[Method]]:
    """Return every method of this package by name, sorted."""
    return find_named("testbed.methods", Method)  # type: ignore[type-abstract]


def method_class(name: str, where: str = "method") -> type[Method]:
    """Return the method called `name`. `where` names its origin in the error."""
    known = methods()
    if name not in known:
        raise TestbedError(f"{where}: '{name}' is not a method; choose from {', '.join(known)}")
    return known[name]


def parse_options(method: type[Method], options: Mapping[str, Any], where: str) -> msgspec.Struct:
    """Convert a mapping to options, defaults filled in. `where` starts the error."""
    return convert(dict(options), method.Options, f"{where}.")
