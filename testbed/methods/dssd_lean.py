"""DSSD with a compressed downlink: the same tokens as DSSD, in fewer bits.

DSSD (arXiv 2507.12000) answers a rejection with all V probabilities of p̂, V·b_p bits. Most of them
are 0: below half a lattice step, or filtered by top-k and top-p. The device only needs to get back
the same integers, so any lossless code will do:

- `entropy`: every count by its magnitude, entropy-coded, and its other digits (codecs/entropy.py);
- `sparse`: b_id + b_p bits for each entry of p̂ that isn't 0 (codecs/sparse_fixed_point.py).

What cannot be sent is the residual max(0, p̂ - q̂), though it is all that the device wants and has
fewer entries still: the verifier knows of q̂ only what DSSD sends up, one number a draft, and so not
where p̂ exceeds it. What it does know is where p̂ is 0: there the residual is 0, too, whatever q̂ is.
Cutting p̂ to its largest entries, as PicoSpec (arXiv 2603.19133) does, is not lossless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from typing_extensions import override

from testbed.codecs.base import DistributionCodec
from testbed.codecs.fixed_point import CompressedFixedPoint, FixedPrecision
from testbed.config.by_file import find_named
from testbed.methods.dssd import Dssd, DssdOptions

_FORMS = find_named("testbed.codecs", CompressedFixedPoint)  # type: ignore[type-abstract]

if TYPE_CHECKING:
    Form: TypeAlias = str
else:
    Form = Literal[(*_FORMS,)]


class DssdLeanOptions(DssdOptions, frozen=True, forbid_unknown_fields=True):
    """The options of DSSD, and the compression of p̂."""

    target_precision: FixedPrecision = "fixed16"
    """The precision of p̂ in the answer to a rejection, e.g. fixed16."""
    form: Form = "entropy"
    """The form in which p̂ is compressed, e.g. entropy."""


class DssdLean(Dssd):
    """Scalars up; p̂ down on a rejection, compressed."""

    name = "dssd_lean"
    summary = "DSSD, whose distribution comes down losslessly compressed"
    paper = "arXiv 2507.12000, with a downlink of our own"
    Options = DssdLeanOptions

    @override
    def target_codec(self) -> DistributionCodec:
        return _FORMS[self.options.form](self.options.target_precision)
