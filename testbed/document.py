"""A scenario file as it is written: its keys and the types of their values.

What goes together is checked by testbed.scenario.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from testbed.clock import LARGEST_DILATION
from testbed.decoding.sampling import Sampling
from testbed.energy import Energy
from testbed.models.spec import Device, Dtype
from testbed.sweep import Sweep

Positive = Annotated[int, msgspec.Meta(ge=1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Refuses keys it does not know."""


Acceptance = Annotated[float, msgspec.Meta(gt=0, le=1)]


class SyntheticModels(Strict):
    """A pair of synthetic models; see testbed.models.synthetic."""

    vocabulary_size: Annotated[int, msgspec.Meta(ge=2)]
    acceptance: Acceptance | Annotated[tuple[Acceptance, ...], msgspec.Meta(min_length=1)]
    greedy_acceptance: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    seed: int = 0


class RealModel(Strict):
    """One model: name, folder, .gguf file or Hugging Face id."""

    model: str
    dtype: Dtype | None = None
    """None: the model's own, int8 for the default draft and fp32 for all others."""
    without_layers: tuple[int, ...] = ()
    threads: Positive | None = None
    device: Device = "cpu"


class Models(Strict):
    """Either `synthetic`, or `target` and `draft`."""

    synthetic: SyntheticModels | None = None
    target: str | RealModel | None = None
    draft: str | RealModel | None = None


class Cost(Strict, omit_defaults=True):
    """What every forward pass of a model takes, however long it takes here.

    A profile's (testbed.models.profiles), or as given, which stands over the profile.
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

    temperature: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_new_tokens: Positive = 64
    ignore_eos: bool = False

    @property
    def sampling(self) -> Sampling:
        """The part that both models apply to their logits."""
        return Sampling(self.temperature, self.top_k, self.top_p)


class Ways(Strict):
    """The two directions of a link, each as LinkSpec.parse takes it, over a profile's if given.

    A direction may have a `trace` besides; for it, `start` and `changes` see testbed.links.changes.
    """

    profile: str | None = None
    up: dict[str, Any] = {}
    down: dict[str, Any] = {}
    start: str = "run"
    changes: list[Any] = []


class Document(Strict):
    """A scenario file as written; links and methods are checked one by one afterwards."""

    name: str
    topology: str
    verifier: str
    links: dict[str, Any]
    models: Models
    methods: list[str | dict[str, Any]]
    prompts: list[str | dict[str, Any]]
    """Texts, or sources of them as testbed.prompts has them."""
    chat: bool = False
    """Whether each prompt is a user's turn in the target's chat template."""
    description: str = ""
    handovers: list[Any] = []
    decoding: Decoding = msgspec.field(default_factory=Decoding)
    compute: Literal["measured"] | Compute = "measured"
    devices: Positive = 1
    """How many decode the prompts, every one of them all, at the same time."""
    repeat: Positive = 1
    seed: Int64 = 0
    backend: Literal["auto", "netem", "relay"] = "auto"
    timeout: str | int | float = "60s"
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """How many times as slow everything runs; see testbed.clock."""
    capture: bool = True
    """Whether all frames are recorded at both ends of every link; see testbed.captures."""
    energy: Energy | None = None
    """What a device spends, see testbed.energy."""
    sweep: Sweep = {}
    """Keys whose values vary; the whole scenario is run at each point."""
