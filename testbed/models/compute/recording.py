"""Recording of a compute profile: durations of a model's passes on this machine.

Passes are timed as a node runs them, sampling included, over 1, 2, 4, … tokens after a cached
prefix. A draft predicts one token per pass. A target predicts after each token of a pass that is as
long as a round, and after the last token of a longer one, as it does for a prompt. The line is
fitted to passes as long as rounds are; its error for longer ones is reported. One sequence is read
at a time, as the verifier does, so there are no batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from testbed.config.yaml_loader import dump_yaml
from testbed.decoding.sampling import Sampling, distribution
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.host.environment import describe_environment
from testbed.links.units import format_time
from testbed.models.base import Logits, Model
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.fit import fit_line, relative_error
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import Passes
from testbed.models.compute.profiles import RecordedProfile
from testbed.models.spec import Role

PREFIX = 128
"""Tokens in the cache before each pass."""
LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Tokens of the timed passes."""
ROUND = 32
"""Passes of up to this many tokens are as long as rounds; the line is fitted to them."""
NOISE = 0.2
"""Largest p90 above the median, as a share of it, of a machine that was not busy."""

_BUDGET = 60.0  # seconds
_FEWEST, _MOST = 5, 50  # passes of each length
_SAMPLING = Sampling()
_TEXT = "The quick brown fox jumps over the lazy dog."  # its tokens exist in every vocabulary
_MACHINE = ("processor", "cores", "kernel", "system", "python", "packages", "commit", "load")


class Timed(msgspec.Struct, frozen=True):
    """Timed passes of one length."""

    tokens: int
    predicted: int
    """Number of positions at which a pass predicted and sampled."""
    seconds: list[float]

    @property
    def median(self) -> float:
        """Median duration in seconds."""
        return float(np.median(self.seconds))

    @property
    def p90(self) -> float:
        """90th percentile of the duration in seconds."""
        return float(np.quantile(self.seconds, 0.9))


class Recording(msgspec.Struct, frozen=True):
    """Timed passes of a model and the line fitted to them."""

    role: Role
    timed: list[Timed]
    pace: Pace

    def relative_error(self, one: Timed) -> float:
        """Return (line − median) / median for passes of one length."""
        return relative_error(self.pace, (one.tokens, one.median))

    def remarks(self) -> Iterator[str]:
        """Yield sentences on how well the line fits, and for which passes."""
        inside = [each for each in self.timed if each.tokens <= ROUND]
        beyond = [each for each in self.timed if each.tokens > ROUND]
        yield (
            f"{_rounded(self.pace.per_pass)} a pass and {_rounded(self.pace.per_token)} a token: "
            f"for passes over {inside[0].tokens} to {inside[-1].tokens} tokens within "
            f"{self._worst(inside):.0%} of the median"
        )
        if beyond:
            yield (
                f"longer ones, prompts, were not fitted: up to {beyond[-1].tokens} tokens the line "
                f"is off by up to {self._worst(beyond):.0%}"
            )
        if self.noisy:
            yield (
                f"one pass in ten took over {self._noise:.0%} longer than the median: this machine "
                "was busy; record again when it is not"
            )
        yield "one sequence at a time, as the verifier reads: there are no batches"

    @property
    def noisy(self) -> bool:
        """True if durations of passes of the same length differed too much."""
        return self._noise > NOISE

    @property
    def _noise(self) -> float:
        return max(each.p90 / each.median - 1 for each in self.timed if each.tokens <= ROUND)

    def _worst(self, some: list[Timed]) -> float:
        return max(abs(self.relative_error(each)) for each in some)

    def profile(self, model: dict[str, Any]) -> RecordedProfile:
        """Return the profile's file; `model` has name, dtype, threads and device."""
        machine = describe_environment()
        date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
        where = machine["processor"] if model["device"] == "cpu" else model["device"]
        described = f"{model['name']}, {model['dtype']}, {model['threads']} threads on {where}"
        return RecordedProfile(
            per_pass=_rounded(self.pace.per_pass),
            per_token=_rounded(self.pace.per_token),
            source=f"testbed profile-compute, {date}: {described}; " + "; ".join(self.remarks()),
            recorded={
                "date": date,
                "model": model,
                "role": self.role,
                "machine": {key: machine[key] for key in _MACHINE},
                "prefix": PREFIX,
                "passes": [
                    {
                        "tokens": each.tokens,
                        "predicted": each.predicted,
                        "median_ms": _ms(each.median),
                        "p90_ms": _ms(each.p90),
                        "line_ms": _ms(self.pace.seconds(each.tokens)),
                        "ms": [_ms(one) for one in each.seconds],
                    }
                    for each in self.timed
                ],
            },
        )


def record(
    model: Model,
    role: Role,
    *,
    budget: float = _BUDGET,
    progress: Callable[[int], None] = lambda passes: None,
) -> Recording:
    """Time passes of a model for about `budget` seconds.

    `progress` is called with the number of passes of each length so far. Lengths alternate, so that
    a machine that slows down affects all of them. Raises TestbedError when the model's context is
    too short.
    """
    lengths = [n for n in LENGTHS if PREFIX + n <= model.context_length]
    if len(lengths) < 2:
        raise TestbedError(
            f"model {model.name} reads at most {model.context_length} tokens; "
            f"{PREFIX + LENGTHS[1]} are needed to time it"
        )
    rng = np.random.default_rng(0)
    known = np.array(sorted(set(model.encode(_TEXT))))
    reader = CachedReader(model.session())
    passes = Passes(reader, Tracer("profile"), "", None)
    prefix = rng.choice(known, PREFIX).tolist()
    seconds: dict[int, list[float]] = {n: [] for n in lengths}
    began = time.monotonic()
    for turn in range(_MOST + 1):
        if turn > _FEWEST and time.monotonic() - began > budget:
            break
        for position, n in enumerate(lengths):
            # Another first token than in the previous pass, so that nothing new is cached.
            first = known[(turn * len(lengths) + position) % len(known)]
            new = [int(first), *rng.choice(known, n - 1).tolist()]
            start = time.monotonic()
            passes.run(prefix + new, _predicted(role, n), _sampled)
            if turn:  # the first pass also reads the prefix, and first calls are slow
                assert reader.read == n
                seconds[n].append(time.monotonic() - start)
        progress(turn)
    timed = [Timed(n, _predicted(role, n), took) for n, took in seconds.items()]
    line = fit_line([(each.tokens, each.median) for each in timed if each.tokens <= ROUND])
    return Recording(role, timed, line)


def _sampled(logits: Logits) -> None:
    for row in logits:
        distribution(row, _SAMPLING)


def _predicted(role: Role, tokens: int) -> int:
    return tokens if role == "target" and tokens <= ROUND else 1


def write_profile(profile: RecordedProfile, path: Path) -> None:
    """Write a profile's file. Raises TestbedError when it cannot be written."""
    text = dump_yaml(msgspec.to_builtins(profile))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TestbedError(f"{path}: cannot be written: {error.strerror}") from None


def _rounded(seconds: float) -> str:
    return format_time(float(f"{seconds:.4g}"))


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
