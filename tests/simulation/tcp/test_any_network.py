"""A network that loses, duplicates, delays and reorders as it likes: every byte arrives, once."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.simulation.tcp.sender import State
from tests.simulation.tcp.wires import Exchange, write

fates = st.lists(
    st.lists(st.sampled_from([0.0, 0.01, 0.01, 0.01, 0.03, 0.2, 1.5]), max_size=2), max_size=60
)
writes = st.lists(
    st.tuples(
        st.sampled_from(["client", "server"]),
        st.integers(1, 60_000),
        st.sampled_from([0.0, 0.01, 0.3, 2.0]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150)
@given(fates, writes, st.sampled_from(["cubic", "reno"]))
def test_every_byte_arrives_once_and_in_order(plan, written, control):
    left = list(reversed(plan))
    exchange = Exchange(lambda *_: left.pop() if left else [0.01], congestion_control=control)
    totals = {"client": 0, "server": 0}
    for name, size, pause in written:
        write(exchange, size, getattr(exchange, name))
        totals[name] += size
        exchange.run(exchange.now + pause)
    exchange.run(exchange.now + 1000)
    assert exchange.total("up") == totals["client"]
    assert exchange.total("down") == totals["server"]
    for delivered in exchange.delivered.values():
        counts = [total for _, total in delivered]
        assert counts == sorted(set(counts))
    for end in (exchange.client, exchange.server):
        assert end.next_timer() is None
        assert end.sender.una == end.sender.next
        assert end.sender.window.segments >= 1
        board = end.sender._board
        assert (len(board.flights), board.sacked, board.lost, board.resent) == (0, 0, 0, 0)
        assert end.sender.state in {State.OPEN, State.DISORDER, State.REDUCED}


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.1, 0.3]))
def test_long_transfers_survive_random_losses_and_reordering(seed, loss):
    chance = random.Random(seed)

    def fate(*_):
        copies = 0 if chance.random() < loss else 1 + (chance.random() < 0.05)
        return [0.01 + 0.02 * chance.random() for _ in range(copies)]

    exchange = Exchange(fate)
    write(exchange, 150_000)
    write(exchange, 20_000, exchange.server)
    exchange.run(20_000)  # one retransmission in two minutes, at worst
    assert exchange.total("up") == 150_000
    assert exchange.total("down") == 20_000
