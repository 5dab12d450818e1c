"""Numbered packets between hosts of a network in virtual time."""

from __future__ import annotations

from typing import NamedTuple

import simpy

from testbed.links.spec import Duplex, LinkSpec
from testbed.simulation.frame import Frame
from testbed.simulation.network import VirtualNetwork
from testbed.topology.declarations import load_topology


class Numbered(NamedTuple):
    """A segment that carries its number."""

    number: int
    frame_size: int


class Stream:
    """Packets from one host to another, and when each of them arrived."""

    def __init__(self, env, network, source, target):
        self.env, self.network, self.source = env, network, source
        self.to = network.address(target, source)
        self.own = network.source(source, self.to)
        self.connection = network.open()
        self.arrived = []
        network.receive(target, self.connection, self._receive)

    def frame(self, number, size=1514):
        segment = Numbered(number, size)
        return Frame.of(self.own.packed, self.to.packed, self.connection, segment)

    def send(self, number, size=1514):
        self.network.send(self.source, self.frame(number, size))

    def numbers(self):
        return [number for number, _ in self.arrived]

    def send_each(self, count, every, size=1514):
        """Send `count` packets, `every` seconds apart; a SimPy process."""
        for number in range(count):
            self.send(number, size)
            yield self.env.timeout(every)

    def _receive(self, segment):
        self.arrived.append((segment.number, self.env.now))


def symmetric(**values):
    return Duplex(LinkSpec(**values), LinkSpec(**values))


def network(name, devices=1, seed=1, links=None, **options):
    """Return an environment and a network, its links as in `links`, or with nothing set."""
    env = simpy.Environment()
    topology = load_topology(name, devices)
    if links is None:
        links = {"three_tier": ("radio", "backhaul"), "handover": ("radio", "radio_2", "between")}
        links = dict.fromkeys(links.get(name, ("radio",)), symmetric())
    return env, VirtualNetwork(env, topology, links, seed, **options)
