"""Independent packet loss."""

from testbed.links.keyed_random import KeyedUniform


class BernoulliLoss:
    """Loses each packet with the same probability, independently of all others."""

    def __init__(self, uniform: KeyedUniform) -> None:
        self._uniform = uniform

    def loses(self, number: int, probability: float) -> bool:
        """Whether packet `number` is lost: always at probability 1, never at 0."""
        return probability > 0 and self._uniform(number) < probability
