"""A scenario file as it is written: its keys and the types of their values.

What goes together is checked by testbed.scenario.load.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from testbed.bounds import (
    MOST_LAYERS,
    MOST_METHODS,
    MOST_MOMENTS,
    MOST_PROMPTS,
    Devices,
    Layer,
    Name,
    Repetitions,
    Seed,
    Share,
    Temperature,
    Threads,
    Tokens,
    Vocabulary,
)
from testbed.clock import LARGEST_DILATION
from testbed.decoding.sampling import Sampling
from testbed.links.units import parse_energy
from testbed.models.spec import Device, Dtype
from testbed.protocol.channel import LONGEST_TIMEOUT
from testbed.scenario.sweep import Sweep


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Refuses keys it does not know."""


Acceptance = Annotated[float, msgspec.Meta(gt=0, le=1)]
_MOST_KINDS = 32
"""Acceptances of one pair of synthetic models, each with laws of its own."""


class SyntheticModels(Strict):
    """A pair of synthetic models; see testbed.models.synthetic."""

    vocabulary_size: Vocabulary
    acceptance: (
        Acceptance
        | Annotated[tuple[Acceptance, ...], msgspec.Meta(min_length=1, max_length=_MOST_KINDS)]
    )
    greedy_acceptance: Share | None = None
    seed: Seed = 0


class RealModel(Strict):
    """One model: name, folder, .gguf file or Hugging Face id."""

    model: str
    dtype: Dtype | None = None
    """None: the model's own, int8 for the default draft and fp32 for all others."""
    without_layers: Annotated[tuple[Layer, ...], msgspec.Meta(max_length=MOST_LAYERS)] = ()
    threads: Threads | None = None
    device: Device = "cpu"


_Bare: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=0, le=int(LONGEST_TIMEOUT))]
    | Annotated[float, msgspec.Meta(ge=0, le=LONGEST_TIMEOUT)]
)
"""A time without its unit, which is asked for."""


class Models(Strict):
    """Either `synthetic`, or `target` and `draft`."""

    synthetic: SyntheticModels | None = None
    target: str | RealModel | None = None
    draft: str | RealModel | None = None


class Cost(Strict, omit_defaults=True):
    """What every forward pass of a model takes, however long it takes here.

    A profile's (testbed.models.compute.profiles), or as given, which stands over the profile.
    """

    profile: str | None = None
    per_pass: str | None = None
    per_token: str | None = None


class Compute(Strict, omit_defaults=True):
    """The models that are paced; a model without costs takes the time that it takes."""

    draft: Cost | None = None
    target: Cost | None = None


class Decoding(Strict):
    """How texts are decoded; the same for every method."""

    temperature: Temperature = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_new_tokens: Tokens = 64
    ignore_eos: bool = False

    @property
    def sampling(self) -> Sampling:
        """The part that both models apply to their logits."""
        return Sampling(self.temperature, self.top_k, self.top_p)


class Directions(Strict):
    """The two directions of a link, each as LinkSpec.parse takes it, over a profile's if given.

    A direction may have a `trace` besides; testbed.links.schedule_syntax explains it, `start` and
    `changes`.
    """

    profile: str | None = None
    up: dict[str, Any] = {}
    down: dict[str, Any] = {}
    start: str = "run"
    changes: Annotated[list[Any], msgspec.Meta(max_length=MOST_MOMENTS)] = []


class Energy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """J per drafted token and J per bit sent, as scenarios write them: "80mJ".

    The first is that of a pass of the draft model, which yields a token of a chain.
    """

    per_drafted_token: str
    per_bit: str

    def __post_init__(self) -> None:
        for value in (self.per_drafted_token, self.per_bit):
            parse_energy(value)


class ScenarioSpec(Strict):
    """A scenario file as written; links and methods are checked one by one afterwards."""

    name: Name
    topology: Name
    verifier: Name
    links: dict[str, Any]
    models: Models
    methods: Annotated[list[str | dict[str, Any]], msgspec.Meta(max_length=MOST_METHODS)]
    prompts: Annotated[list[str | dict[str, Any]], msgspec.Meta(max_length=MOST_PROMPTS)]
    """Texts, or sources of them as testbed.prompts has them."""
    chat: bool = False
    """Whether each prompt is a user's turn in the target's chat template."""
    description: str = ""
    handovers: Annotated[list[Any], msgspec.Meta(max_length=MOST_MOMENTS)] = []
    decoding: Decoding = msgspec.field(default_factory=Decoding)
    compute: Literal["measured"] | Compute = "measured"
    devices: Devices = 1
    """How many decode the prompts, every one of them all, at the same time."""
    repeat: Repetitions = 1
    seed: Seed = 0
    backend: Literal["auto", "netem", "relay"] = "auto"
    timeout: str | _Bare = "60s"
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """How many times as slow everything runs; see testbed.clock."""
    capture: bool = True
    """Whether all frames are recorded at both ends of every link; see testbed.audit.captures."""
    energy: Energy | None = None
    """What a device spends, see testbed.analysis.energy."""
    sweep: Sweep = {}
    """Keys whose values vary; the whole scenario is run at each point."""
