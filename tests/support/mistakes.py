"""Mistakes that papers, code and libraries have made; what tests of a law must catch.

Those of methods are mixed into one: class Broken(KeptTail, Dsd).
"""

from __future__ import annotations

from testbed.decoding.acceptance import acceptance_probability, residual
from testbed.decoding.candidates import first_accepted, without
from testbed.decoding.lattice import Lattice
from testbed.decoding.sampling import Sampling
from testbed.methods.effects import Commit
from tests.support.effects import changed


def inverted(p: float, q: float) -> float:
    """Return the acceptance probability with p and q exchanged."""
    return min(1.0, q / p) if p > 0 else 0.0


class Raw(Lattice):
    """A lattice that draws from something else than it says, of what can be sent."""

    def __init__(self, lattice, raw):
        super().__init__(lattice.counts, lattice.total, lattice.support, lattice.vocabulary_size)
        object.__setattr__(self, "raw", raw[lattice.support] * (lattice.counts > 0))

    def draw(self, random, role, position, *which):
        return int(self.support[random.choose(self.raw, role, position, *which)])


class RoundedAfterwards:
    """Draws from q itself on the support, and verifies with q̂."""

    def quantise(self, q):
        return Raw(super().quantise(q), q)


class KeptTail:
    """Keeps the drafts after the rejected one."""

    def settle(self, drafts, accepted):
        super().settle(drafts, accepted)
        self.tail = [draft.token for draft in drafts[accepted + 1 :]]

    def device(self, device):
        yield from changed(
            super().device(device), Commit, lambda effect: Commit(effect.tokens + self.tail)
        )


class OneSided:
    """Filters q as configured, by top-k for instance, but not p."""

    def verifier(self, verifier, drafts, upload):
        verifier.sampling = Sampling()
        yield from super().verifier(verifier, drafts, upload)


# Between siblings, in the place of first_accepted.


def stale_q(tokens, q, p, random, position, *, replacement):
    """Verify every sibling against the q̂ of the first."""
    return first_accepted(tokens, q, p, random, position, replacement=True)


def stale_p(tokens, q, p, random, position, *, replacement):
    """Verify every sibling against p itself; take the residual once, in the end."""
    each = q
    for i, token in enumerate(tokens):
        if i and not replacement:
            each = without(each, tokens[i - 1])
        probability = acceptance_probability(float(p[token]), each.probability(token))
        if random.accept(probability, position, i):
            return i, p
    return None, residual(p, q.probabilities)


def no_residual(tokens, q, p, random, position, *, replacement):
    """Draws from p when all are rejected."""
    accepted, _ = first_accepted(tokens, q, p, random, position, replacement=replacement)
    return accepted, p
