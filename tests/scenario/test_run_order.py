"""The order of runs: random, fixed by the seed, with no advantage for any method."""

from __future__ import annotations

from collections import Counter

from testbed.scenario.run_order import RunId, shuffled

METHODS = ["cloud_ar", "dsd", "dssd"]


def test_every_method_runs_once_in_each_repetition():
    turns = shuffled(METHODS, 4, 7, {})
    assert sorted((turn.repeat, turn.method) for turn in turns) == [
        (repeat, method) for repeat in range(4) for method in METHODS
    ]


def test_the_order_follows_from_seed_and_point_alone():
    point = {"links.radio.up.rate": "1mbit", "seed": 2}
    same = dict(reversed(point.items()))
    assert shuffled(METHODS, 4, 7, point) == shuffled(METHODS[::-1], 4, 7, same)
    others = [shuffled(METHODS, 4, 8, point), shuffled(METHODS, 4, 7, {})]
    assert shuffled(METHODS, 4, 7, point) not in others


def test_fewer_methods_keep_the_order():
    """With `--methods` the remaining runs keep their order."""
    every = shuffled(METHODS, 4, 7, {})
    assert shuffled(METHODS[:2], 4, 7, {}) == [each for each in every if each.method != "dssd"]


def test_no_method_is_first_more_often():
    firsts = Counter(shuffled(METHODS, 2, seed, {})[0] for seed in range(600))
    assert set(firsts) == {RunId(method, repeat) for method in METHODS for repeat in (0, 1)}
    assert all(60 < count < 140 for count in firsts.values())  # 100 each; 9.1 is the deviation
