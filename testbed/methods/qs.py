"""QS: quantise, then sample (arXiv 2507.00605).

The device takes the lattice point nearest to q, draws from that, and sends it; the verifier accepts
and resamples with the same point, so the output follows the target exactly.

Per round, with γ drafts: uplink γ (⌈log2 C(ℓ+V-1, V-1)⌉ + b_id), downlink b_id + ⌈log2(γ + 1)⌉.
That is `index: simplex`; `support`, the default, is ours and takes fewer bits for the same point
(testbed.codecs.sparse_lattice), which are also the ones that count as the formula's.

The paper adapts γ and ℓ to the uncertainty of drafts and to the link, here by a policy:
`qs_dqn` is the paper's Double DQN, `qs_model` maximises the paper's throughput model instead. With
n values of ℓ each draft names its own, at log2 n extra bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
from typing_extensions import override

from testbed.codecs.base import Codec, Drawn
from testbed.codecs.enumerative_codec import LatticeCodec
from testbed.codecs.mixed import Mixed
from testbed.config.by_file import find_named
from testbed.decoding.lattice import Denominator, Lattice
from testbed.decoding.sampling import Probabilities
from testbed.drafting.base import DraftLength
from testbed.drafting.policies import ChoosingOption, DraftLengthOption, policies
from testbed.drafting.resolution import ChoosesResolution, ChoosingOptions, Resolution
from testbed.errors import TestbedError
from testbed.methods.full_upload import FullDistributionMethod

_MOST_LATTICES = 64
"""The most values of ℓ that a policy can choose from."""
_FORMS = find_named("testbed.codecs", LatticeCodec)  # type: ignore[type-abstract]

if TYPE_CHECKING:
    Index: TypeAlias = str
else:
    Index = Literal[(*_FORMS,)]


class QsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of QS.

    Where γ depends on neither bits nor time, both forms of `index` give the same tokens.
    """

    draft_length: DraftLengthOption | ChoosingOption = 4
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: qs_model}."""
    lattice: (
        Denominator
        | Annotated[list[Denominator], msgspec.Meta(min_length=1, max_length=_MOST_LATTICES)]
    ) = 240
    """The denominator ℓ of the lattice, e.g. 240, or several from which a policy chooses."""
    index: Index = "support"
    """The form of a lattice point.

    `support` first sends which tokens have a non-zero count; `simplex` does not.
    """


class Qs(FullDistributionMethod):
    """A lattice point up, one token down."""

    name = "qs"
    summary = "q on a lattice of the whole vocabulary up; the verifier resamples"
    paper = "arXiv 2507.00605"
    Options = QsOptions

    @override
    def make_codec(self) -> Codec:
        lattice, policy = self.options.lattice, self.options.draft_length
        chooses = isinstance(policy, ChoosingOptions)
        totals = sorted(lattice if isinstance(lattice, list) else [lattice])
        if len(set(totals)) < len(totals):
            raise TestbedError(f"qs.lattice: {lattice} has one ℓ twice; give each once")
        if len(totals) > 1 and not chooses:
            able = " or ".join(f"{{policy: {name}}}" for name in policies(ChoosingOptions))
            raise TestbedError(
                f"qs.lattice: {lattice} needs a draft_length that chooses from it, {able}; "
                "otherwise give one number"
            )
        form = _FORMS[self.options.index]
        codecs = [form(total, self.vocabulary_size) for total in totals]
        self._policy: ChoosesResolution | None = None
        if not chooses:
            return codecs[0]
        self._resolutions = [Resolution(codec.total, codec.bits) for codec in codecs]
        self._mixed = Mixed(codecs)
        return self._mixed

    @override
    def draft_length(self) -> DraftLength:
        policy = self.options.draft_length
        if not isinstance(policy, ChoosingOptions):
            return super().draft_length()
        self._policy = policy.start(self._resolutions)
        return self._policy

    @override
    def quantise(self, q: Probabilities) -> Lattice | None:
        if self._policy is None:
            assert not isinstance(self.codec, Mixed), "of several ℓ a policy chooses"
            return super().quantise(q)
        total = self._policy.choose(q)
        return None if total is None else self._mixed.quantise(q, total)

    @override
    def settle(self, drafts: Sequence[Drawn], accepted: int) -> None:
        if self._policy is not None:
            self._policy.settle(drafts, accepted)
