"""K-SQS: the K likeliest tokens, on a lattice (SQS-SD, arXiv 2510.09942).

Per round, uplink Σ_n (log2 C(V, K) + log2 C(ℓ+K-1, K-1) + ⌈log2 K⌉), downlink
b_id + ⌈log2(γ + 1)⌉. As many drafts as fit into a budget of bits, unless `draft_length` says
otherwise. By notes on it the paper compares K = 2 and 3; its ℓ and budget were not at hand. The
defaults are guesses.
"""

from __future__ import annotations

from functools import partial

import msgspec
from typing_extensions import override

from testbed.bounds import TopK
from testbed.codecs.base import Codec
from testbed.codecs.sqs import Sqs
from testbed.decoding.lattice import Denominator
from testbed.decoding.supports import top_k
from testbed.drafting.bit_budget import BitBudget
from testbed.drafting.policies import DraftLengthOption
from testbed.errors import TestbedError
from testbed.methods.full_upload import FullDistributionMethod

K = 64
"""Unless the option says otherwise, or the vocabulary is smaller."""


class KsqsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of K-SQS."""

    draft_length: DraftLengthOption = BitBudget(bits=5000)
    """The draft length γ, e.g. 4, or a policy, e.g. {policy: ucb}."""
    top_k: TopK | None = None
    """The number K of most probable tokens that are sent, e.g. 64; by default 64 or all."""
    lattice: Denominator = 100
    """The denominator ℓ of the lattice, e.g. 100."""


class Ksqs(FullDistributionMethod):
    """The K likeliest tokens' lattice point up, one token down."""

    name = "ksqs"
    summary = "the K likeliest tokens of q on a lattice up; the verifier resamples"
    paper = "arXiv 2510.09942"
    Options = KsqsOptions

    @override
    def make_codec(self) -> Codec:
        return likeliest(self.options.top_k, self.options.lattice, self.vocabulary_size)


def likeliest(k: int | None, total: int, vocabulary_size: int) -> Sqs:
    """Return the codec for the K likeliest tokens. Raises TestbedError when K exceeds V."""
    if k is None:
        k = min(K, vocabulary_size)
    if k > vocabulary_size:
        raise TestbedError(f"top_k is {k}; it must be at most the vocabulary's {vocabulary_size}")
    return Sqs(total, vocabulary_size, partial(top_k, k=k), size=k)
