"""A tree of drafts on the wire: q̂ behind each inner node, its children as indices in the support.

Both ends grow the tree in the same order, depth first, the device by drawing and the verifier by
reading. The shape needs no bits: how many candidates each depth has, how many tokens there is room
for and which tokens end a generation are known to both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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
Pick = Callable[[Node, int], tuple[Lattice, list[int]]]
"""Returns q̂ behind a node, and 1 to n candidates drawn from it, of a node and n."""


def grow(branches: Sequence[int], end_tokens: Collection[int], pick: Pick) -> Tree:
    """Grow a tree with up to `branches[d]` candidates behind each node of depth d.

    Nothing follows an end token.
    """
    tree: Tree = []

    def add(path: tuple[int, ...], turns: tuple[int, ...]) -> Node:
        node = Node(len(tree), path, turns)
        tree.append(node)
        if len(path) < len(branches) and not (path and path[-1] in end_tokens):
            node.q, node.candidates = pick(node, branches[len(path)])
            waiting.extend((node, token) for token in reversed(dict.fromkeys(node.candidates)))
        return node

    waiting: list[tuple[Node, int]] = []
    add((), ())
    while waiting:
        parent, token = waiting.pop()
        turn = parent.candidates.index(token)
        parent.children[token] = add((*parent.path, token), (*parent.turns, turn))
    return tree


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
        reader = self.codec.reader(data)

        def pick(node: Node, most: int) -> tuple[Lattice, list[int]]:
            if node.number > drafts:
                raise PayloadError(f"a tree arrived with more than its {drafts} drafts")
            q = self.codec.read_support(reader, self.codec.read_values(reader))
            return q, self._read_candidates(reader, q, most)

        tree = grow(branches, end_tokens, pick)
        reader.finish()
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
