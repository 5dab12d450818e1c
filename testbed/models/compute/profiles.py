"""Compute profiles: durations of forward passes on named hardware, each value with its source.

A pass over n tokens takes per_pass + n per_token. Publications do not give these two values; they
give the durations of two passes, usually over one token and over a prompt, and a profile is the
line through both. It is exact for passes of these two lengths and an estimate for others. Sampling
is included where the published measurements include it. The verifier reads one sequence at a time,
so there are no batches.

`testbed profile-compute` records a profile as a file; a scenario names it by its path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from testbed.config.convert import convert
from testbed.config.sourced_value import PRESET, SourcedValue
from testbed.config.yaml_loader import parse_yaml
from testbed.errors import TestbedError
from testbed.files.input_file import read_text
from testbed.links.units import parse_time
from testbed.models.compute.pace import Pace


@dataclass(frozen=True, slots=True)
class ComputeProfile:
    """Durations of one model's passes on one kind of hardware."""

    name: str
    description: str
    per_pass: SourcedValue
    per_token: SourcedValue

    def figures(self) -> dict[str, SourcedValue]:
        """Return both values by their keys in a scenario."""
        return {"per_pass": self.per_pass, "per_token": self.per_token}

    @property
    def measured(self) -> bool:
        """True if both values come from measurements."""
        return all(PRESET not in figure.source for figure in self.figures().values())

    def pace(self) -> Pace:
        """Convert both values to a pace. Raises ValueError when one of them is not a time."""
        return Pace(**{key: parse_time(figure.text) for key, figure in self.figures().items()})


class RecordedProfile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Contents of a profile's file."""

    per_pass: str
    per_token: str
    source: str
    recorded: dict[str, Any] = {}
    """Measurements, model and machine, for people; not used by a run."""


Pass = tuple[int, float]
"""Tokens and duration in ms."""


def _through(name: str, description: str, short: Pass, long: Pass, source: str) -> ComputeProfile:
    """Return the profile of the line through two passes of one source."""
    (n, took), (m, took_longer) = short, long
    per_token = (took_longer - took) / (m - n)
    basis = (
        f"line through {took:.3g} ms for {n} token{'s' * (n > 1)} and {took_longer:.4g} ms for {m}"
    )
    return ComputeProfile(
        name,
        description,
        SourcedValue(f"{took - n * per_token:.3g}ms", f"{basis}; {source}"),
        SourcedValue(f"{per_token:.3g}ms", f"{basis}; {source}"),
    )


def _bench(one: float, prompt: float, tokens: int) -> tuple[Pass, Pass]:
    """Return two passes, from the tokens/s of decoding and of a prompt of `tokens` tokens."""
    return (1, 1e3 / one), (tokens, tokens * 1e3 / prompt)


def _lmdeploy(
    name: str, model: str, gpus: str, *, speed: float, first: float, long: float
) -> ComputeProfile:
    """Return a profile from lmdeploy's figures.

    `speed` is in tokens/s, over 128 tokens after a prompt of 128, and `first` is the TTFT in ms of
    that prompt. `long` is the TTFT in ms of a prompt of 2,048 tokens.
    """
    step = (128e3 / speed - first) / 127
    return _through(
        name,
        f"{model}, fp16, {gpus}, lmdeploy",
        (1, step),
        (128, first),
        f"lmdeploy v0.1.0a1, docs/en/benchmark/a100_fp16.md, batch 1: {speed:g} tokens/s, first "
        f"token after {first:g} ms; long prompts are faster, 2,048 tokens took {long:g} ms and not "
        f"{step + 2047 * (first - step) / 127:.0f} ms",
    )


_JETSON = "SmolLM2-135M, llama.cpp, smolhub.com, 8 tiny LLMs on Jetson Orin Nano Super, 2026"
_TENSORRT = "TensorRT-LLM v0.5, docs/source/performance.md, first token latency at batch 1"
_BEYOND = "a pass over one token was not measured: extrapolated"
_CHEN = "a token, Chen et al., arXiv 2302.01318"
_AS_ONE = (
    f"{PRESET}: the paper says that scoring a short continuation takes about as long as sampling "
    "one token, not how much longer"
)
_JETSON_PER_TOKEN = 0.1  # ms
_ALL = (
    ComputeProfile(
        "jetson_smollm2_135m",
        "SmolLM2-135M, 4 bits, Jetson Orin Nano Super at 25 W, llama.cpp",
        SourcedValue(
            f"{1e3 / 165.2 - _JETSON_PER_TOKEN:.3g}ms",
            f"165.2 tokens/s, less per_token; {_JETSON}",
        ),
        SourcedValue(
            f"{_JETSON_PER_TOKEN:g}ms",
            f"{PRESET}; a draft reads one or two tokens a pass, so it matters for the prompt alone",
        ),
    ),
    _through(
        "pi5_qwen25_05b", "Qwen2.5-0.5B, Q4_0, Raspberry Pi 5, llama.cpp",
        *_bench(33.84, 289.92, 512),
        "33.84 and 289.92 tokens/s, llama.cpp discussion 30069; the prompt is taken for "
        "llama-bench's usual 512 tokens",
    ),
    _through(
        "snapdragon_llama32_1b", "Llama-3.2-1B, Q4_0, Snapdragon 8 Elite (Hexagon v79), llama.cpp",
        *_bench(51.54, 169.42, 128),
        "tg64 51.54 and pp128 169.42 tokens/s, llama.cpp docs/backend/snapdragon, build 6733",
    ),
    _lmdeploy("a100_llama2_7b", "Llama-2-7B", "A100", speed=102.21, first=22, long=139),
    _lmdeploy("a100_llama2_13b", "Llama-2-13B", "A100", speed=56.58, first=40, long=242),
    _lmdeploy("a100x4_llama2_70b", "Llama-2-70B", "4 A100", speed=33.63, first=74, long=402),
    _through(
        "h100_llama_7b", "LLaMA 7B, FP8, H100, TensorRT-LLM", (128, 7), (2048, 36),
        f"{_TENSORRT}; {_BEYOND}",
    ),
    _through(
        "h100x4_llama_70b", "LLaMA 70B, FP8, 4 H100, TensorRT-LLM", (128, 26), (2048, 109),
        f"{_TENSORRT}; {_BEYOND}",
    ),
    ComputeProfile(
        "tpu_chinchilla_4b", "Chinchilla's draft of 4B, 16 TPU v4",
        SourcedValue("1.8ms", f"1.8 ms {_CHEN}"), SourcedValue("0ms", _AS_ONE),
    ),
    ComputeProfile(
        "tpu_chinchilla_70b", "Chinchilla 70B, 16 TPU v4",
        SourcedValue("14.1ms", f"14.1 ms {_CHEN}"), SourcedValue("0ms", _AS_ONE),
    ),
)  # fmt: skip

COMPUTE_PROFILES = {profile.name: profile for profile in _ALL}
"""All named profiles."""


def is_file(profile: str) -> bool:
    """Return True if a scenario's `profile` is the path of a file and not a name."""
    return "/" in profile or profile.endswith((".yaml", ".yml"))


def place_profiles(compute: Any, place: Callable[[str], str]) -> Any:
    """Return a copy of a scenario's `compute` with `place` applied to the path of each file."""
    if not isinstance(compute, Mapping):
        return compute
    return {
        role: {
            key: place(value) if key == "profile" and is_file(value) else value
            for key, value in cost.items()
        }
        for role, cost in compute.items()
    }


def find_compute_profile(profile: str, where: str) -> ComputeProfile:
    """Return the profile of this name or in this file.

    Raises TestbedError, starting with `where`, when there is none.
    """
    if is_file(profile):
        return _read(Path(profile), f"{where}: {profile}")
    if profile not in COMPUTE_PROFILES:
        raise TestbedError(
            f"{where}: '{profile}' is not a compute profile; choose from "
            f"{', '.join(COMPUTE_PROFILES)}, or name a file such as ./mine.yaml"
        )
    return COMPUTE_PROFILES[profile]


def _read(path: Path, where: str) -> ComputeProfile:
    file = convert(parse_yaml(read_text(path, where), where), RecordedProfile, f"{where}: ")
    for key in ("per_pass", "per_token"):
        try:
            parse_time(getattr(file, key))
        except ValueError as error:
            raise TestbedError(f"{where}: {key}: {error}") from None
    return ComputeProfile(
        str(path),
        "recorded",
        SourcedValue(file.per_pass, file.source),
        SourcedValue(file.per_token, file.source),
    )
