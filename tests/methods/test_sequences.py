"""Whole sequences through the real messages and codecs, counted and held against the target's law.

The exact laws enumerate every path with chances in place of the generator; here the generator runs.
Seeds are fixed, so that a test that passes once passes always. To count more of every form than
there is time for each day: pytest tests/methods/test_sequences.py --sequences 100000
"""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import msgspec
import pytest
from scipy.stats import chisquare

from testbed.methods import base
from testbed.methods.csqs import Csqs
from testbed.methods.ksqs import Ksqs
from tests.support.mistakes import RoundedAfterwards
from tests.support.toy import PLAIN, decode_locally, models, target_law, task

pytestmark = pytest.mark.slow
V = 3
LEVEL = 1e-4
FEW = 5000

SQS = {
    "ksqs": {"lattice": 2, "top_k": 2},
    "csqs": {"lattice": 2, "alpha": 0.1, "eta": 0.4, "first_threshold": 0.35},
}
FORMATS = [
    *SQS.items(),
    ("qs", {"lattice": 7}),
    ("qs", {"lattice": 7, "index": "simplex"}),
    ("dsd", {}),
    ("dssd", {}),
    ("dssd_lean", {}),
    ("dssd_lazy", {"top_k": 2, "lattice": 7}),
    ("tslt", {"top_k": 2}),
    ("tslt", {"top_p": 0.7, "values": "int8", "index": "ranked"}),
    ("tslt_tree", {"branches": [2, 1]}),
    ("gumbel", {}),
]
"""Methods with options, one for each form of a message; another method is another line."""


def p_value(
    method: str, options: dict, tokens: int, sequences: int, *more: type[base.Method]
) -> float:
    """Of χ² over all sequences of so many tokens, of which all but the last may be drafted."""
    draft, target = models(V)
    draft.table, target.table = 0.3 * draft.table, 0.3 * target.table
    length = {} if "branches" in options else {"draft_length": tokens - 1}
    the_task = task(method, tokens, **length, **options)
    known = {**base.methods(), **{kind.name: kind for kind in more}}
    counts: Counter[tuple[int, ...]] = Counter()
    with patch.object(base, "methods", lambda: known):  # looking for files takes half of the time
        for seed in range(sequences):
            one = msgspec.structs.replace(the_task, seed=seed)
            counts[tuple(decode_locally(one, draft, target).tokens)] += 1
    law = target_law(target, PLAIN, tokens)
    expected = [mass * sequences for mass in law.values()]
    assert min(expected) > 3
    assert set(counts) <= set(law)
    return float(chisquare([counts[text] for text in law], expected).pvalue)


@pytest.mark.long
def test_a_hundred_thousand_sequences():
    assert p_value("ksqs", SQS["ksqs"], 2, 100_000) > LEVEL


@pytest.mark.parametrize(("method", "options"), FORMATS, ids=str)
def test_every_form_of_message(method, options, request):
    assert p_value(method, options, 3, request.config.getoption("--sequences")) > LEVEL


@pytest.mark.parametrize(("kind", "tokens"), [(Ksqs, 2), (Csqs, 3)])
def test_rounding_after_drawing_shows(kind, tokens):
    """Even among few."""
    broken = type("Broken", (RoundedAfterwards, kind), {"name": "broken"})
    assert p_value("broken", SQS[kind.name], tokens, FEW, broken) < LEVEL
