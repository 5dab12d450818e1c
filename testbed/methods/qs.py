"""QS: quantise, then sample (arXiv 2507.00605), with a lattice that stays the same.

The device takes the lattice point nearest to q, draws from that, and sends it; the verifier accepts
and resamples with the same point, so the output follows the target exactly.

Per round, with γ drafts: uplink γ (⌈log2 C(ℓ+V-1, V-1)⌉ + b_id), downlink b_id + ⌈log2(γ + 1)⌉.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from testbed.codecs.base import Codec
from testbed.codecs.simplex import Simplex
from testbed.codecs.sparse_lattice import SparseLattice
from testbed.decoding.lattice import Denominator
from testbed.drafting.policies import DraftLengthOption
from testbed.methods.uploading import Uploading


class QsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`draft_length` is γ or a policy, `lattice` is ℓ.

    `index` is how a lattice point is named: "support" first says which tokens have a count,
    "simplex" is the paper's form. The text is the same; only bits and time differ.
    """

    draft_length: DraftLengthOption = 4
    lattice: Denominator = 240
    index: Literal["support", "simplex"] = "support"


class Qs(Uploading):
    """A lattice point up, one token down."""

    name = "qs"
    summary = "q on a lattice of the whole vocabulary up; the verifier resamples"
    paper = "arXiv 2507.00605"
    Options = QsOptions

    def make_codec(self) -> Codec:
        """See Uploading."""
        form = Simplex if self.options.index == "simplex" else SparseLattice
        return form(self.options.lattice, self.vocabulary_size)
