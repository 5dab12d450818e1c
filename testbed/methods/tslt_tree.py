"""TSLT with several candidates in a token tree (arXiv 2512.16273, MC-DSD).

The device drafts a tree instead of a chain: `branches[d]` candidates behind every node of depth d,
all drawn from the truncated q̂ there, which is sent once. The verifier walks down from the root; at
each node recursive rejection (testbed.decoding.candidates) accepts one of the candidates or none.
How the paper builds its tree was not at hand; the rule is the one of SpecInfer, which keeps the
target's distribution for any tree whose q̂ is decided before its candidates are drawn.

The paper verifies all candidates in parallel. Here the target reads one path in a pass, at first
that of first children, and another one whenever the accepted path leaves it: up to one pass more
than the tree is deep. Verification thus takes longer than a single pass over the tree would.

Per round, with n nodes of which m are inner: uplink n b_id + m K (b_p + b_id); downlink
b_id + ⌈log2(n + 1)⌉, the number of the last accepted node and the token that follows it.
"""

from __future__ import annotations

from itertools import accumulate
from operator import mul
from typing import Annotated

import msgspec
from typing_extensions import override

from testbed.codecs.token_tree import Growth, Tree, TreeCodec
from testbed.codecs.verification import read_verification, write_verification
from testbed.decoding.candidates import draw_candidates, first_accepted
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Probabilities
from testbed.methods.base import Method
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Effects
from testbed.methods.tslt import TruncationOptions
from testbed.methods.verifier_context import VerifierContext

MOST_NODES = 4096


class TsltTreeOptions(TruncationOptions, frozen=True, kw_only=True):
    """The options of TSLT with a tree of drafts."""

    branches: Annotated[
        list[Annotated[int, msgspec.Meta(ge=1, le=MOST_NODES)]],
        msgspec.Meta(min_length=1, max_length=MOST_NODES),
    ] = msgspec.field(default_factory=lambda: [3, 2, 1])
    """The children of a node at each depth: [3] is 3 candidates for one token, [1, 1] a chain."""
    replacement: bool = False
    """True draws the candidates of a node independently, so that they may be equal."""

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        nodes = sum(accumulate(self.branches, mul))
        if nodes > MOST_NODES:
            raise ValueError(f"branches make {nodes} nodes; at most {MOST_NODES} are allowed")


class TsltTree(Method):
    """A tree of drafts up, one path of it and one token down."""

    name = "tslt_tree"
    summary = "a tree of drafts with truncated q up; the verifier accepts one of its paths"
    paper = "arXiv 2512.16273"
    Options = TsltTreeOptions

    def __init__(self, options: TsltTreeOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.truncated = options.codec(vocabulary_size)
        self.codec = TreeCodec(self.truncated, options.replacement)

    def quantise(self, q: Probabilities) -> Lattice:
        """Return the q̂ to draw from."""
        return self.truncated.quantise(q)

    @override
    def device(self, device: DeviceContext) -> Effects[None]:
        while True:
            tree = yield from device.drafting(self._draft(device))
            drafts = len(tree) - 1
            with device.encoding():
                upload = self.codec.encode(tree)
            verification = yield from device.ask(upload, drafts)
            with device.decoding():
                number, token = read_verification(verification, drafts, self.vocabulary_size)
            last = tree[number]
            longest = max(len(node.path) for node in tree)
            device.record_path(drafts, len(last.path), longest, rejected=bool(last.children))
            yield from device.commit([*last.path, token])

    def _draft(self, device: DeviceContext) -> Effects[Tree]:
        growth = Growth(self.options.branches[: device.room], device.end_tokens)
        for node, most in growth.inner_nodes():
            text = [*device.token_ids, *node.path]
            q = self.quantise((yield from device.next_draft(text)))
            candidates = draw_candidates(
                q,
                most,
                device.random,
                len(text),
                device.counts.rounds,
                *node.turns,  # not its number: that depends on what was drafted elsewhere
                replacement=self.options.replacement,
            )
            device.counts.formula_bits += self.codec.formula_bits(q, len(candidates))
            growth.extend(node, q, candidates)
        return growth.tree

    @override
    def most_drafts(self, room: int) -> int:
        return MOST_NODES

    @override
    def verifier(self, verifier: VerifierContext, drafts: int, upload: bytes) -> Effects[None]:
        position = len(verifier.token_ids)
        branches = self.options.branches[: verifier.limit - position - 1]
        with verifier.decoding():
            tree = self.codec.decode(upload, drafts, branches, verifier.end_tokens)
        node = tree[0]
        read = node.first_path()
        p = yield from verifier.read(list(read))
        while True:
            depth = len(node.path)
            if node.path != read[:depth]:  # the target has read another path than was accepted
                read = node.first_path()
                p = yield from verifier.read(list(read))
            following = p(depth)
            if node.q is None:
                break
            accepted, following = first_accepted(
                node.candidates,
                node.q,
                following,
                verifier.random,
                position + depth,
                replacement=self.options.replacement,
            )
            if accepted is None:
                break
            node = node.children[node.candidates[accepted]]
        token = verifier.random.choose(following, "target", position + depth)
        verifier.token_ids += [*node.path, token]
        with verifier.encoding():
            answer = write_verification(node.number, token, drafts, self.vocabulary_size)
        yield from verifier.reply(answer)
