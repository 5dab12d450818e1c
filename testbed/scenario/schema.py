"""The keys of a scenario file and the types of their values.

Docstrings of fields become the descriptions that editors show. Rules that concern several keys are
checked by testbed.scenario.load.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from testbed.bounds import (
    MOST_LAYERS,
    MOST_METHODS,
    MOST_MOMENTS,
    MOST_PROMPTS,
    CongestionControl,
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
    """A mapping in which unknown keys are an error."""


Acceptance = Annotated[float, msgspec.Meta(gt=0, le=1)]
_MOST_KINDS = 32
"""The most acceptance values of one synthetic pair; each has distributions of its own."""


class SyntheticModels(Strict):
    """A target and a draft model without weights, which agree as often as `acceptance` says."""

    vocabulary_size: Vocabulary
    """The number of tokens, e.g. 32000."""
    acceptance: (
        Acceptance
        | Annotated[tuple[Acceptance, ...], msgspec.Meta(min_length=1, max_length=_MOST_KINDS)]
    )
    """The probability that the target accepts a drafted token, above 0 and up to 1, e.g. 0.8.

    With a list, e.g. [0.6, 0.9], each context has one of these. It holds at temperature 1, without
    top_k and top_p.
    """
    greedy_acceptance: Share | None = None
    """The share of contexts in which both models have the same most probable token, e.g. 0.7."""
    seed: Seed = 0
    """The seed of both models' distributions, e.g. 7."""


class RealModel(Strict):
    """A model with weights and the way it is run."""

    model: str
    """A name from `testbed models`, a folder, a .gguf file or a Hugging Face id."""
    dtype: Dtype | None = None
    """The type of the weights, e.g. fp32; by default int8 for the default draft, else fp32."""
    without_layers: Annotated[tuple[Layer, ...], msgspec.Meta(max_length=MOST_LAYERS)] = ()
    """The numbers, from 0, of the layers that are left out, e.g. [20, 21]."""
    threads: Threads | None = None
    """The CPU threads of each node with this model, e.g. 4; by default its share of the cores."""
    device: Device = "cpu"
    """The processor that the model runs on, e.g. cuda; auto uses all GPUs."""


class TargetModel(RealModel):
    """A target, which may run behind a server of others."""

    served: str | None = None
    """The server that runs it, e.g. unix:/run/vllm.sock; `model` is then its tokenizer's."""


_Bare: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=0, le=int(LONGEST_TIMEOUT))]
    | Annotated[float, msgspec.Meta(ge=0, le=LONGEST_TIMEOUT)]
)
"""A number without a unit, accepted here so that the later error can name the missing unit."""


class Models(Strict):
    """The two models: either `synthetic`, or `target` and `draft`."""

    synthetic: SyntheticModels | None = None
    """A pair of synthetic models, e.g. {vocabulary_size: 32000, acceptance: 0.8}."""
    target: str | TargetModel | None = None
    """The model that verifies: its name, e.g. smollm2-135m-instruct, or a mapping."""
    draft: str | RealModel | None = None
    """The model that drafts: its name, e.g. smollm2-135m-instruct-distilled, or a mapping."""


class Cost(Strict, omit_defaults=True):
    """The emulated duration of every forward pass of a model, whatever the pass takes on this host.

    It is taken from `profile`, if given; `per_pass` and `per_token` replace the profile's values
    (testbed.models.compute.profiles).
    """

    profile: str | None = None
    """A compute profile from `testbed profiles`, or the path of a profile file."""
    per_pass: str | None = None
    """The duration of a pass without its tokens, e.g. "10ms"."""
    per_token: str | None = None
    """The duration added for each token of a pass, e.g. "1ms"."""


class Compute(Strict, omit_defaults=True):
    """The models whose passes last a given time; a model without a cost runs at its own speed."""

    draft: Cost | None = None
    """The cost of a pass of the draft model, e.g. {per_pass: 10ms, per_token: 1ms}."""
    target: Cost | None = None
    """The cost of a pass of the target model, e.g. {per_pass: 30ms, per_token: 1ms}."""


class Decoding(Strict):
    """Sampling and length of the generations; the same for every method."""

    temperature: Temperature = 1.0
    """The softmax temperature, e.g. 0.7; 0 decodes greedily."""
    top_k: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    """Only this many most probable tokens can be drawn, e.g. 50; 0 sets no limit."""
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Only the most probable tokens up to this total probability can be drawn, e.g. 0.9."""
    max_new_tokens: Tokens = 64
    """The most tokens of one generation, e.g. 64."""
    ignore_eos: bool = False
    """True decodes `max_new_tokens` tokens even after an end-of-sequence token."""

    @property
    def sampling(self) -> Sampling:
        """The settings that both models apply to their logits."""
        return Sampling(self.temperature, self.top_k, self.top_p)


class Directions(Strict):
    """The two directions of a link, and its changes during a run.

    `up` and `down` have the fields of LinkSpec, which replace those of the profile, and may have a
    `trace`. testbed.links.schedule_syntax explains `trace`, `start` and `changes`.
    """

    profile: str | None = None
    """A profile from `testbed profiles`, e.g. lte_good, for all values that are not given here."""
    up: dict[str, Any] = {}
    """The direction away from the device, e.g. {rate: 5mbit, delay: 20ms}."""
    down: dict[str, Any] = {}
    """The direction towards the device, e.g. {rate: 20mbit, delay: 20ms}."""
    start: str = "run"
    """Time 0 of `changes` and traces: the beginning of a run, or first_packet."""
    changes: Annotated[list[Any], msgspec.Meta(max_length=MOST_MOMENTS)] = []
    """The changes during a run, in order of time, e.g. [{at: 5s, up: {rate: 2mbit}}]."""


class Tcp(Strict):
    """The settings of TCP on every host; those that are not keys have Linux's defaults.

    testbed.emulation.host_sysctls lists them.
    """

    congestion_control: CongestionControl = "cubic"
    """The congestion control of every connection, e.g. reno; the kernel must offer it."""


class Energy(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The energy that a device spends, as quantities with units: "80mJ"."""

    per_drafted_token: str
    """The energy of one pass of the draft model, which yields one token of a chain, e.g. "80mJ"."""
    per_bit: str
    """The energy of one bit sent by the device, e.g. "1uJ"."""

    def __post_init__(self) -> None:
        for value in (self.per_drafted_token, self.per_bit):
            parse_energy(value)


class ScenarioSpec(Strict):
    """A scenario file as written. Links and methods are converted one by one afterwards."""

    name: Name
    """The name of the results directory, e.g. lossy_uplink."""
    topology: Name
    """A name from `testbed topologies`, e.g. three_tier."""
    verifier: Name
    """The host that runs the target model: base_station or cloud."""
    links: dict[str, Any]
    """Each link of the topology by its name, e.g. {radio: {profile: lte_good}}."""
    models: Models
    """The target and the draft model."""
    methods: Annotated[list[str | dict[str, Any]], msgspec.Meta(max_length=MOST_METHODS)]
    """The methods to compare, by name or as mappings, e.g. [cloud_ar, {method: dssd}]."""
    prompts: Annotated[list[str | dict[str, Any]], msgspec.Meta(max_length=MOST_PROMPTS)]
    """The prompts: texts, or sources such as {file: prompts.jsonl}."""
    chat: bool = False
    """True makes each prompt a user's message in the chat template of the target."""
    description: str = ""
    """A sentence for the report, e.g. "DSSD over a lossy uplink"."""
    handovers: Annotated[list[Any], msgspec.Meta(max_length=MOST_MOMENTS)] = []
    """The changes of the device's radio link, e.g. [{at: 5s, to: radio_2, stall: 60ms}]."""
    tcp: Tcp = msgspec.field(default_factory=Tcp)
    """The settings of TCP on every host, e.g. {congestion_control: reno}."""
    decoding: Decoding = msgspec.field(default_factory=Decoding)
    """Sampling and length of the generations, e.g. {temperature: 0.7, max_new_tokens: 64}."""
    compute: Literal["measured"] | Compute = "measured"
    """The duration of forward passes: that on this host (measured), or a cost for each model."""
    devices: Devices = 1
    """The number of devices that decode at the same time, each decoding all prompts, e.g. 4."""
    repeat: Repetitions = 1
    """The number of runs of each method, e.g. 3."""
    seed: Seed = 0
    """The seed of tokens, packet losses and the order of runs, e.g. 1."""
    backend: Literal["auto", "netem", "relay", "simulated"] = "auto"
    """The emulator of the links, or simulated, which computes runs in virtual time.

    auto takes netem where it can do all that the links need, else the relay.
    """
    timeout: str | _Bare = "60s"
    """The longest wait for an answer before a run fails, e.g. "60s"."""
    time_dilation: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_DILATION)] = 1.0
    """The factor by which the run is slower than emulated time, e.g. 2; see testbed.clock."""
    capture: bool = True
    """True records all frames at both ends of every link, for the checks of testbed.audit."""
    energy: Energy | None = None
    """The energy that a device spends on tokens and bits; see testbed.analysis.energy."""
    sweep: Sweep = {}
    """Keys and the values they take, e.g. {links.radio.up.rate: [1mbit, 20mbit]}.

    The whole scenario is run at each point.
    """
