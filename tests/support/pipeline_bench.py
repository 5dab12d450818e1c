"""A bench for calibration whose packets pass links' pipelines, without a network."""

from __future__ import annotations

from types import SimpleNamespace

from testbed.calibration.link_bench import DIRECTIONS, LinkBench
from testbed.calibration.probes import HEADERS, ProbeTrain
from testbed.links.keyed_random import RandomKey
from testbed.links.pipeline import Pipeline
from testbed.links.spec import Duplex


class PipelineBench(LinkBench):
    """Sends probes in computed time; a receiver drops those that were changed on the way."""

    def __init__(self, requested: Duplex) -> None:
        self.requested = self.now = requested
        self.link = SimpleNamespace(name="radio")
        self.inversions = dict.fromkeys(DIRECTIONS, 0)

    def put(self, part):
        self.now = Duplex(part(self.requested.up), part(self.requested.down))
        return self.now

    def send(self, count, every, payload):
        return {
            direction: _sent(getattr(self.now, direction), direction, count, every, payload)
            for direction in DIRECTIONS
        }


def _sent(spec, direction, count, every, payload):
    line, train = Pipeline(spec, RandomKey(1, "radio", direction)), ProbeTrain()
    frame = bytes(payload + HEADERS)
    for number in range(count):
        train.sent.append(number * every)
        line.arrive(number * every, frame)
    while (departure := line.leave(float("inf"))) is not None:
        if departure.packet.frame == frame:
            train.numbers.append(departure.packet.number)
            train.times.append(departure.due)
    return train
