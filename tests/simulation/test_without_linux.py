"""Virtual time needs neither Linux nor Mininet."""

from __future__ import annotations

from tests.support.blocked import run_blocked


def test_a_network_and_its_connections_run_without_what_only_linux_has():
    said = run_blocked(
        """
        import sys
        from testbed.links.handovers import Handover
        from tests.simulation.test_connection import Pair, received
        from tests.simulation.streams import Stream, network

        pair = Pair("cell", 3, "device2")
        pair.env.run(pair.connection.opened)
        pair.connection.send([b"hello", b"x" * 20000])
        pair.env.run(until=pair.env.now + 1)
        assert [len(frame) for frame in received(pair.at_verifier)[0][1]] == [5, 20000]

        env, built = network("handover", handovers=[Handover(0.1, "radio_2")])
        stream = Stream(env, built, "device", "base_station")
        built.restart(0)
        env.process(stream.send_each(10, 0.03))
        env.run()
        assert stream.numbers() == list(range(10))
        assert built.links["radio_2"].up.counts.received_packets == 6
        assert not {"fcntl", "pwd", "resource", "torch", "zmq"} & set(sys.modules)
        assert not [name for name in sys.modules if name.partition(".")[0] == "mininet"]
        print("done")
        """
    )
    assert said == "done\n"
