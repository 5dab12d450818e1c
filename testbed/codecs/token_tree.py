"""A tree of drafts on the wire: q̂ behind each inner node, its children as indices in the support.

Both ends grow the tree in the same order, depth first, the device by drawing and the verifier by
reading. The shape needs no bits: how many candidates each depth has, how many tokens there is room
for and which tokens end a generation are known to both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from testbed.codecs.bits import Payload, PayloadError
from testbed.codecs.truncated import Truncated
from testbed.codecs.wire_forms import FieldReader, FieldWriter
from testbed.decoding.lattice import Lattice

_PLACE = "the place of a candidate"


@dataclass(eq=False)
class Node:
    """A drafted token behind others; the root, number 0, stands for the committed tokens."""

    number: int
    """In the order of growth."""
    path: tuple[int, ...]
    """The drafted tokens from the root to this one, itself included."""
    turns: tuple[int, ...]
    """The number of each among its candidates; of equal ones the first."""
    q: Lattice | None = None
    """The distribution of the candidates behind it; None behind a leaf."""
    candidates: list[int] = field(default_factory=list)
    """The tokens drawn for the next position, in that order."""
    children: dict[int, Node] = field(default_factory=dict)
    """The node of each candidate; equal ones are one node."""

    def first_path(self) -> tuple[int, ...]:
        """Return the path through this node and on by first children, down to a leaf."""
        node = self
        while node.candidates:
            node = node.children[node.candidates[0]]
        return node.path


Tree = list[Node]
"""All nodes by number, the root first."""


class Growth:
    """A tree that grows depth first, with up to `branches[d]` candidates behind depth d.

    Nothing follows an end token. Both ends grow it in the same way:

        for node, most in growth.inner_nodes():
            growth.extend(node, q, candidates)  # 1 to `most` of them
    """

    def __init__(self, branches: Sequence[int], end_tokens: Collection[int]) -> None:
        self.tree: Tree = []
        self._branches = branches
        self._end_tokens = end_tokens
        self._waiting: list[tuple[Node, int]] = []

    def inner_nodes(self) -> Iterator[tuple[Node, int]]:
        """Yield each node that candidates follow, and their largest number.

        Extend each before the next one is asked for.
        """
        node = Node(0, (), ())
        while True:
            self.tree.append(node)
            depth = len(node.path)
            if depth < len(self._branches) and self._goes_on(node):
                yield node, self._branches[depth]
            if not self._waiting:
                return
            parent, token = self._waiting.pop()
            turn = parent.candidates.index(token)
            node = Node(len(self.tree), (*parent.path, token), (*parent.turns, turn))
            parent.children[token] = node

    def extend(self, node: Node, q: Lattice, candidates: list[int]) -> None:
        """Put candidates drawn from q̂ behind a node."""
        node.q, node.candidates = q, candidates
        self._waiting.extend((node, token) for token in reversed(dict.fromkeys(candidates)))

    def _goes_on(self, node: Node) -> bool:
        return not node.path or node.path[-1] not in self._end_tokens


@dataclass(frozen=True)
class TreeCodec:
    """Carries trees.

    Per inner node: q̂ as `codec` writes it, then the position of each candidate in its support;
    without replacement, among those positions that are still free.
    """

    codec: Truncated
    replacement: bool

    def encode(self, tree: Tree) -> Payload:
        """Write all of a tree."""
        writer = self.codec.writer()
        for node in tree:
            if node.q is not None:
                self.codec.write_values(writer, node.q)
                self.codec.write_support(writer, node.q)
                self._write_candidates(writer, node.q, node.candidates)
        return writer.payload()

    def decode(
        self, data: bytes, drafts: int, branches: Sequence[int], end_tokens: Collection[int]
    ) -> Tree:
        """Read what `encode` wrote, a tree of `drafts` nodes besides the root.

        Raises PayloadError on anything that `encode` never writes.
        """
        # No more nodes than drafts have a q̂, as each of these has a child.
        reader = self.codec.reader(data, drafts, max(branches, default=0))
        growth = Growth(branches, end_tokens)
        for node, most in growth.inner_nodes():
            if node.number > drafts:
                raise PayloadError(f"a tree arrived with more than its {drafts} drafts")
            q = self.codec.read_support(reader, self.codec.read_values(reader))
            growth.extend(node, q, self._read_candidates(reader, q, most))
        reader.finish()
        tree = growth.tree
        if len(tree) - 1 != drafts:
            raise PayloadError(f"a tree of {drafts} drafts arrived with {len(tree) - 1}")
        return tree

    def formula_bits(self, q: Lattice, candidates: int) -> float:
        """Return the bits behind one node: b_id for each candidate, and q̂ once."""
        return self.codec.formula_bits(q) + (candidates - 1) * self.codec.id_bits

    def _write_candidates(self, writer: FieldWriter, q: Lattice, candidates: Sequence[int]) -> None:
        taken: list[int] = []
        for token in candidates:
            place = q.place(token)
            writer.number(place - sum(each < place for each in taken), q.support.size - len(taken))
            if not self.replacement:
                taken.append(place)

    def _read_candidates(self, reader: FieldReader, q: Lattice, most: int) -> list[int]:
        free = q.support.tolist()
        if self.replacement:
            return [free[reader.number(len(free), _PLACE)] for _ in range(most)]
        count = min(most, len(free))
        return [free.pop(reader.number(len(free), _PLACE)) for _ in range(count)]
