"""Passes of the draft model: each is counted, and none is made for nothing if it can be avoided."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from testbed.errors import TestbedError
from testbed.events import Tracer, read_events
from testbed.methods.device_context import DeviceContext
from testbed.models.synthetic import SyntheticModel
from testbed.protocol.process_driver import generate
from testbed.protocol.verifier_server import VerifierServer
from testbed.transport.in_process import InProcessChannel
from tests.support.toy import PROMPT, ToyModel, decode_locally, similar_models, task

V, TOKENS = 2000, 60


class Counted(SyntheticModel):
    """The draft of the synthetic pair; notes how often it is read."""

    def __init__(self) -> None:
        super().__init__(V, 0.8, 0, "draft")
        self.passes = 0

    def session(self):
        session = super().session()
        extend = session.extend

        def counting(tokens, keep=None):
            self.passes += 1
            return extend(tokens, keep)

        session.extend = counting
        return session


def counted(method, bits, predict=True, **options):
    """Return a generation of the pair under a budget of bits a round."""
    draft, target = Counted(), SyntheticModel(V, 0.8, 0, "target")
    policy = {"policy": "bit_budget", "bits": bits, "predict": predict}
    got = decode_locally(task(method, TOKENS, draft_length=policy, **options), draft, target)
    assert got.counts.draft_passes == draft.passes
    assert got.counts.drafted <= got.counts.draft_passes
    return got


def asked_behind_the_pass():
    """As if the bits of no draft were known before its q."""
    propose = DeviceContext.propose

    def late(self, quantise, bits, draw=None):
        return propose(self, quantise, bits if callable(bits) else lambda q: bits, draw)

    return patch.object(DeviceContext, "propose", late)


@pytest.mark.parametrize("predict", [True, False])
@pytest.mark.parametrize(
    ("method", "bits", "options", "length"),
    [
        ("dsd", 2 * (11 + 16 * V), {}, 2),
        ("dssd", 100, {}, 3),  # of 11 + 16 bits
        ("dssd_lean", 100, {}, 3),
        ("dssd_lazy", 4 * (11 + 7), {}, 4),
        ("gumbel", 43, {}, 3),  # of 11 bits
        ("ksqs", 600, {"top_k": 8}, 5),  # of 72.4 + 34.6 + 3 bits
        ("qs", 700, {"lattice": 24, "index": "simplex"}, 3),  # of 184 + 11 bits
    ],
)
def test_no_pass_is_in_vain_where_bits_are_known(method, bits, options, length, predict):
    got = counted(method, bits, predict, **options)
    lengths = got.counts.draft_lengths
    assert got.counts.draft_passes == got.counts.drafted  # 1.00 a draft
    assert len(lengths) == length + 1  # L = max{L: Σ b_n <= B}
    assert sum(lengths[:length]) <= length  # but at the end of the text, where there's no room
    # The control: asked behind the pass, each round costs one more, for the same text.
    with asked_behind_the_pass():
        late = counted(method, bits, predict=False, **options)
    assert late.tokens == got.tokens
    assert lengths[length] - 1 <= late.counts.draft_passes - late.counts.drafted <= lengths[length]


def test_csqs_stops_by_the_bits_of_its_last_passes():
    papers = counted("csqs", 1500, predict=False).counts
    ours = counted("csqs", 1500).counts
    wasted = [each.draft_passes - each.drafted for each in (papers, ours)]
    rounds = [sum(each.draft_lengths) for each in (papers, ours)]
    assert 2 * rounds[0] < 3 * wasted[0] <= 3 * rounds[0]  # a pass in most rounds
    assert 3 * wasted[1] < wasted[0]
    assert ours.drafted / rounds[1] > 0.8 * papers.drafted / rounds[0]


def test_a_tree_makes_one_pass_for_all_candidates_behind_a_node():
    got = decode_locally(task("tslt_tree", 4, branches=[3, 2, 1]), *similar_models(12))
    first = 1 + 3 + 6  # inner nodes of the whole tree; what follows has less room
    assert first <= got.counts.draft_passes < got.counts.drafted


def test_what_decodes_alone_makes_a_pass_a_token():
    got = decode_locally(task("device_only", 7), *similar_models(12))
    assert (got.counts.draft_passes, got.counts.drafted) == (7, 0)


def traced(path, the_task):
    """Return a generation, and the events of the device."""
    trace = Tracer("device", path)
    draft, target = similar_models(12)
    channel = InProcessChannel(VerifierServer(target))
    got = generate(the_task, PROMPT, draft, channel, timeout=5, trace=trace)
    trace.close()
    return got, read_events(path)


def test_the_trace_has_the_passes_of_each_round(tmp_path):
    budget = {"policy": "bit_budget", "bits": 90, "predict": False}
    got, events = traced(tmp_path / "events", task("csqs", 30, draft_length=budget))
    passes = [event["passes"] for event in events if event["event"] == "draft"]
    assert sum(passes) == got.counts.draft_passes > got.counts.drafted
    assert len(passes) == sum(got.counts.draft_lengths)


def test_both_exchanges_of_a_rejection_are_one_round(tmp_path):
    """By the events that round times are read from; see testbed.analysis.phases."""
    got, events = traced(tmp_path / "events", task("dssd_lazy", 40))
    verifications = sum(got.counts.draft_lengths)
    assert got.counts.rounds == verifications + got.counts.rejections > verifications
    committed = [event["round"] for event in events if event["event"] == "commit"]
    assert len(set(committed)) == verifications < len(committed)


@pytest.mark.parametrize("method", ["cloud_ar", "device_only", "dsd", "dssd"])
@pytest.mark.parametrize("token", [-1, 12])
def test_a_prompt_of_another_vocabulary_is_refused(method, token):
    with pytest.raises(TestbedError, match=f"^the prompt has token {token}; .* ids 0 to 11:"):
        decode_locally(task(method, 3), ToyModel(12, 1), ToyModel(12, 2), prompt=(0, token, 1))
