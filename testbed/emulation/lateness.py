"""A histogram, of bounded size, of how late packets left."""

_BIN = 10e-6  # seconds
_BINS = 10_000  # the last one takes all from 100 ms up


class LatenessHistogram:
    """Lateness of packets in bins of 10 µs up to 100 ms; the maximum is exact. Times in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self._max = 0.0

    def add(self, lateness: float) -> None:
        """Add the lateness of one packet, in seconds."""
        self._counts[min(_BINS - 1, int(lateness / _BIN))] += 1
        self._max = max(self._max, lateness)

    def summary(self) -> dict[str, float]:
        """Return the quantiles p50 and p99, each the upper edge of its bin, and the maximum."""
        return {"p50": self._quantile(0.5), "p99": self._quantile(0.99), "max": self._max}

    def _quantile(self, q: float) -> float:
        wanted = q * sum(self._counts)
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(self._max, (index + 1) * _BIN)
        return 0.0
