"""The token tree: its shape, what is read of it and how often, its way over the wire, options."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.codecs.bits import PayloadError
from testbed.codecs.token_tree import Growth, TreeCodec
from testbed.codecs.truncated import Truncated
from testbed.decoding.candidates import draw_candidates
from testbed.decoding.randomness import KeyedRandomness
from testbed.decoding.sampling import Sampling, distribution
from testbed.errors import TestbedError
from testbed.methods.base import method_class, parse_options
from testbed.methods.verifier_context import VerifierContext
from tests.codecs.payloads import damaged
from tests.support.options import refusal
from tests.support.toy import ToyModel, ToySession, decode_locally, models, similar_models, task

V = 12


def grown(codec, branches, replacement, *, seed=0, ends=(), scale=1.0):
    """Grow a tree as a device does; return it, and the nodes whose q was asked for."""
    model, random = ToyModel(V, seed), KeyedRandomness(seed, 0, "")
    asked = []

    growth = Growth(branches, ends)
    for node, most in growth.inner_nodes():
        asked.append(node.path)
        q = codec.quantise(distribution(model.after([0, *node.path]) * scale, Sampling()))
        tokens = draw_candidates(
            q, most, random, len(node.path), *node.turns, replacement=replacement
        )
        growth.extend(node, q, tokens)
    return growth.tree, asked


def content(tree):
    return [
        (
            node.number,
            node.path,
            node.turns,
            node.candidates,
            list(node.children),
            node.q and (node.q.counts.tolist(), node.q.support.tolist()),
        )
        for node in tree
    ]


def test_nodes_are_numbered_depth_first_and_every_inner_one_is_read_once():
    tree, asked = grown(Truncated(V, top_k=6), [3, 2, 1], False)
    assert len(tree) == 1 + 3 + 6 + 6
    assert [node.number for node in tree] == list(range(16))
    first = tree[0].candidates[0]
    assert [node.path[:1] == (first,) for node in tree] == [False] + [True] * 5 + [False] * 10
    assert asked == [node.path for node in tree if node.q is not None]
    assert len(asked) == len(set(asked)) == 1 + 3 + 6
    assert tree[0].first_path() == tree[3].path


def test_equal_siblings_are_one_node():
    tree, asked = grown(Truncated(V, top_k=2), [4, 1], True)
    assert len(tree[0].candidates) == 4
    assert len(tree[0].children) == 2
    assert len(tree) == 1 + 2 + 2
    assert len(asked) == 3


def test_without_replacement_a_small_support_has_fewer_children():
    tree, _ = grown(Truncated(V, top_k=2), [4, 3], False)
    assert [len(node.candidates) for node in tree if node.q is not None] == [2, 2, 2]


def test_nothing_stands_behind_an_end_token():
    ends = set(range(0, V, 2))
    tree, _ = grown(Truncated(V, top_k=8), [4, 3, 2], False, ends=ends)
    kinds = {(node.path[-1] in ends, node.q is None) for node in tree if 0 < len(node.path) < 3}
    assert kinds == {(True, True), (False, False)}


trees = st.tuples(
    st.lists(st.integers(1, 4), max_size=3),  # branches
    st.booleans(),  # replacement
    st.sampled_from([{"top_k": 1}, {"top_k": 3}, {"top_k": V}, {"top_p": 0.5}, {"top_p": 1.0}]),
    st.sampled_from(["fp16", "int8"]),
    st.sampled_from(["plain", "ranked"]),
    st.integers(0, 99),  # seed
    st.sets(st.integers(0, V - 1), max_size=3),  # end tokens
    st.sampled_from([0.5, 1, 5]),  # scale of the logits
)


def a_tree(case):
    branches, replacement, kept, values, index, seed, ends, scale = case
    codec = Truncated(V, values=values, index=index, **kept)
    tree, _ = grown(codec, branches, replacement, seed=seed, ends=ends, scale=scale)
    return tree, TreeCodec(codec, replacement), branches, ends


@settings(deadline=None)
@given(trees)
def test_a_tree_arrives_as_it_was(case):
    tree, codec, branches, ends = a_tree(case)
    payload = codec.encode(tree)
    got = codec.decode(payload.data, len(tree) - 1, branches, ends)
    assert content(got) == content(tree)


@settings(deadline=None, max_examples=200)
@given(trees, st.data())
def test_damage_is_refused_or_is_another_tree(case, data):
    tree, codec, branches, ends = a_tree(case)
    good = codec.encode(tree).data
    for wrong in damaged(good, data):
        try:
            got = codec.decode(wrong, len(tree) - 1, branches, ends)
        except PayloadError:
            continue
        assert len(wrong) == len(good) or case[4] == "ranked"
        assert codec.encode(got).data == wrong


@pytest.mark.parametrize("index", ["plain", "ranked"])
@pytest.mark.parametrize("drafts", [0, 3, 4, 14, 16, 1000])
def test_another_number_of_drafts_than_the_tree_has_is_refused(drafts, index):
    codec = Truncated(V, top_k=6, index=index)
    tree, _ = grown(codec, [3, 2, 1], False)
    data = TreeCodec(codec, False).encode(tree).data
    with pytest.raises(PayloadError, match=f"{drafts} drafts"):
        TreeCodec(codec, False).decode(data, drafts, [3, 2, 1], ())


class Counting(ToyModel):
    """Notes each forward pass: the text it ends at and how many rows were asked for."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.passes: list[tuple[int, ...]] = []

    def session(self):
        model = self

        class Session(ToySession):
            def extend(self, tokens, keep=None):
                rows = super().extend(tokens, keep)
                model.passes.append(tuple(self.text))
                return rows

        return Session(self)


def test_a_target_that_agrees_reads_the_path_of_first_children_alone():
    """q̂ is p: the first child is always accepted, so each round has one pass."""
    target = Counting(V, 1)
    got = decode_locally(task("tslt_tree", 40, Sampling(temperature=0)), ToyModel(V, 1), target)
    assert (got.counts.rounds, got.counts.accepted) == (10, 30)
    assert len(target.passes) == 1 + 10  # the prompt by itself


def test_another_path_is_read_only_when_a_node_on_it_is_accepted(monkeypatch):
    calls: dict[int, list[list[int]]] = {}
    read = VerifierContext.read

    def noting(self, drafts):
        calls.setdefault(len(self.token_ids), []).append(drafts)
        return read(self, drafts)

    monkeypatch.setattr(VerifierContext, "read", noting)
    got = decode_locally(task("tslt_tree", 200, branches=[3, 3, 1]), *similar_models(V, 0.7))
    text = [0, 1, *got.tokens]
    assert len(calls) == got.counts.rounds
    assert {len(paths) for paths in calls.values()} == {1, 2, 3}
    for start, paths in calls.items():
        right = [
            next((i for i, token in enumerate(path) if token != text[start + i]), len(path))
            for path in paths
        ]
        assert right == sorted(set(right))  # each one agrees with the text for longer


def test_the_device_reads_each_inner_node_once():
    draft = Counting(V, 1)
    decode_locally(task("tslt_tree", 4, branches=[3, 2, 1]), draft, ToyModel(V, 2))
    first = draft.passes[:10]  # the first round has room for three: 1 + 3 + 6 inner nodes
    assert len(set(first)) == 10
    assert sorted(map(len, first)) == [2] + [3] * 3 + [4] * 6


def test_the_depth_is_that_of_the_room_left():
    got = decode_locally(task("tslt_tree", 3, branches=[1] * 9), *[ToyModel(V, 1)] * 2)
    assert (got.counts.rounds, got.counts.drafted, got.counts.accepted) == (1, 2, 2)


@pytest.mark.parametrize("ends", [(), (2,)])
def test_acceptance_is_of_positions_not_of_candidates(ends):
    """The candidates are always 1 and 2, and the target says 1, 2, 3, over and over."""
    draft, target = ToyModel(4, 1), ToyModel(4, 2)
    for model in (draft, target):
        model.table[:] = -50
    draft.table[..., [1, 2]] = 50
    for last, following in enumerate((1, 2, 3, 1)):
        target.table[:, last, following] = 50
    the_task = task("tslt_tree", 30, branches=[2, 2, 2], top_k=2)
    the_task = msgspec.structs.replace(the_task, end_tokens=ends)
    got = decode_locally(the_task, draft, target, prompt=(0, 3))
    counts = got.counts
    if ends:  # 1 is followed by 2 and the end; nothing stood behind it that could be rejected
        assert got.tokens == [1, 2]
        assert (counts.accepted, counts.verified, counts.rejections) == (2, 2, 0)
        assert (counts.verified_per_position, counts.accepted_per_position) == (
            [1, 1, 0],
            [1, 1, 0],
        )
    else:  # two positions accepted, one rejected; at the end there is room for two
        assert got.tokens == [1, 2, 3] * 10
        assert (counts.accepted, counts.verified, counts.rejections) == (20, 29, 9)
        assert (counts.verified_per_position, counts.accepted_per_position) == (
            [10, 10, 9],
            [10, 10, 0],
        )


def test_a_chain_costs_what_tslt_costs():
    draft, target = ToyModel(V, 2), ToyModel(V, 1)
    for method, options in [("tslt", {"draft_length": 3}), ("tslt_tree", {"branches": [1, 1, 1]})]:
        got = decode_locally(task(method, 60, top_k=5, **options), draft, target)
        assert got.counts.formula_bits == got.counts.drafted * (4 + 5 * (16 + 4))
        uploads = got.traffic.up_payload_bits - 2 * 4  # without the prompt
        assert uploads == got.counts.drafted * (3 + 5 * (16 + 4) + 3)


BOTH = {"top_k": 5, "top_p": 0.5}
BAD = [
    ("tslt", BOTH, f"x: {BOTH}: top_k and top_p are both given; give one of them"),
    ("tslt_tree", BOTH, f"x: {BOTH}: top_k and top_p are both given; give one of them"),
    (
        "tslt_tree",
        {"branches": [1] * 4097},
        "x.branches: [1, 1, 1, 1, 1, 1, ...]: expected `list` of length <= 4096",
    ),
    ("tslt", {"top_k": 0}, "x.top_k: 0: expected `int` >= 1"),
    ("tslt", {"top_p": 0}, "x.top_p: 0: expected `float` > 0"),
    ("tslt", {"top_p": 1.5}, "x.top_p: 1.5: expected `float` <= 1"),
    ("tslt", {"values": "int4"}, "x.values: 'int4': choose from fp16, int8"),
    ("tslt", {"index": "bare"}, "x.index: 'bare': choose from plain, ranked"),
    ("tslt_tree", {"draft_length": 4}, "x.draft_length: unknown key; allowed are top_k, top_p,"),
    ("tslt_tree", {"branches": []}, "x.branches: []: expected `list` of length >= 1"),
    ("tslt_tree", {"branches": [2, 0]}, "x.branches[1]: 0: expected `int` >= 1"),
    ("tslt_tree", {"branches": 3}, "x.branches: 3: expected `list`, got `int`"),
    (
        "tslt_tree",
        {"branches": [16, 16, 16]},
        "x: {'branches': [16, 16, 16]}: branches make 4368 nodes; at most 4096 are allowed",
    ),
    ("tslt_tree", {"replacement": 1}, "x.replacement: 1: expected `bool`, got `int`"),
]


@pytest.mark.parametrize(("method", "options", "message"), BAD)
def test_bad_options_are_refused_in_one_sentence(method, options, message):
    assert refusal(method, options).startswith(message)


@pytest.mark.parametrize("method", ["tslt", "tslt_tree"])
def test_a_k_above_the_vocabulary_is_refused(method):
    with pytest.raises(TestbedError, match="top_k is 13; it must be from 1 to the vocabulary's 12"):
        decode_locally(task(method, 3, top_k=13), *models(V))


@pytest.mark.parametrize(("v", "k"), [(V, V), (1000, 320)])
def test_the_default_is_320_tokens_or_all_there_are(v, k):
    for method in ("tslt", "tslt_tree"):
        kind = method_class(method)
        codec = parse_options(kind, {}, "x").codec(v)
        q = distribution(ToyModel(2, 1).table[0, 0].repeat(v // 2), Sampling())
        assert codec.quantise(q).support.size == k
