"""The models and prompts of a scenario, found and checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.analysis.validity import statement, validity
from testbed.errors import TestbedError
from testbed.experiment.texts import PromptError, Texts, read_texts, which
from testbed.host.environment import threads_per_node
from testbed.methods.base import method_class, parse_options
from testbed.models.base import require_context
from testbed.models.load import with_trial
from testbed.models.memory import Load, require_memory
from testbed.models.served.address import UNIX
from testbed.models.spec import FileSpec, GgufSpec, ModelSpec, ServedSpec, SyntheticSpec
from testbed.models.store.catalog import resolve, with_options
from testbed.models.weights import count
from testbed.results.plan import Plan
from testbed.results.rows import Backend
from testbed.scenario.compute import used_models
from testbed.scenario.run_order import shuffled
from testbed.scenario.scenario import Point, Scenario
from testbed.scenario.schema import RealModel, TargetModel
from testbed.scenario.simulated import NO_CAPTURES, SIMULATED


@dataclass(frozen=True)
class ModelPair:
    """Target and draft, with what is read of their text sides."""

    target: ModelSpec
    draft: ModelSpec
    texts: Texts


_NOT_CAPTURED = "frames are not captured, so that there is no ledger of their bytes: {why}"
_BLOCKS = (
    "target '{name}': distributions after a block of tokens differ from those after single tokens "
    "(total variation {tv:.2g} at the worst of a few positions, on this machine), and so may texts "
    "from its own"
)
_AS_FP32 = 1e-5
"""Total variation of blocks below which a target is as exact as one of transformers in fp32."""
_SERVED = (
    "target '{name}' runs on a server, whose rounding depends on what else it computes: "
    "texts follow its distribution up to that, and a pass lasts as long as its request"
)
_SHARED = (
    "{jobs} jobs share the memory of this machine, and each has a part of its processors, so that "
    "models without a pace take longer than alone: compare only what as many jobs measured"
)


def prepare(point: Point, backend: Backend, jobs: int = 1, why_no_captures: str = "") -> Plan:
    """Find the models, read the prompts, and check that they fit each other.

    `jobs` runs go on at the same time; `why_no_captures` is the reason why frames cannot be
    captured here, empty if they can.

    Raises TestbedError, in terms of the scenario file, when it does not.
    """
    scenario = point.scenario
    if backend == SIMULATED:
        why_no_captures = NO_CAPTURES
    # A simulation computes all passes in one process, in turn, with one draft for all devices.
    devices = 1 if backend == SIMULATED else scenario.spec.devices
    nodes = 1 if backend == SIMULATED else devices + 1
    _check_reach(scenario, backend)
    pair = _find_pair(scenario, threads_per_node(jobs * nodes))
    _check_methods(scenario, pair.texts.vocabulary_size)
    _check_prompts(scenario, pair.texts)
    pair = _tried(scenario, pair)
    ends = [] if scenario.spec.decoding.ignore_eos else pair.texts.end_tokens
    _check_memory(scenario, pair, jobs, devices)
    spec = scenario.spec
    methods = [entry.label for entry in scenario.methods]
    return Plan(
        point=point.values,
        methods=methods,
        order=shuffled(methods, spec.repeat, spec.seed, point.values),
        backend=backend,
        target=pair.target,
        draft=pair.draft,
        prompts=[" ".join(map(str, tokens)) for tokens in pair.texts.prompts],
        end_tokens=ends,
        capture=spec.capture and not why_no_captures,
        validated=statement(validity()) if backend == SIMULATED else "",
        warnings=[
            *_warnings(pair),
            *scenario.idle(),
            *(
                [_NOT_CAPTURED.format(why=why_no_captures)]
                if spec.capture and why_no_captures
                else []
            ),
            *([_SHARED.format(jobs=jobs)] if jobs > 1 and _takes_its_own_time(scenario) else []),
        ],
    )


def _takes_its_own_time(scenario: Scenario) -> bool:
    """Return True if a model that is used is not paced."""
    return any(role not in scenario.paces for role in used_models(scenario.methods))


def _check_reach(scenario: Scenario, backend: Backend) -> None:
    """Raise TestbedError for a served target that the verifier cannot reach."""
    target = scenario.spec.models.target
    address = target.served if isinstance(target, TargetModel) else None
    if address is not None and backend != SIMULATED and not address.startswith(UNIX):
        raise TestbedError(
            f"{scenario.source}: models.target.served: {address} is not on the emulated network; "
            "give a Unix socket, unix:/path/to/socket"
        )


def _find_pair(scenario: Scenario, threads: int) -> ModelPair:
    """Return the models; `threads` are those of a pass where the scenario does not say."""
    models = scenario.spec.models
    if models.synthetic is not None:
        given = models.synthetic
        spec = SyntheticSpec(
            given.vocabulary_size,
            given.acceptance,
            given.seed,
            greedy_acceptance=given.greedy_acceptance,
        )
        return ModelPair(spec, spec, _texts(scenario, spec, spec))
    assert models.target is not None and models.draft is not None
    where = f"{scenario.source}: models"
    folder = Path(scenario.source).parent
    target = _target(models.target, folder, threads, f"{where}.target")
    draft = _resolve(models.draft, folder, threads, f"{where}.draft")
    return ModelPair(target, draft, _texts(scenario, target, draft))


def _texts(scenario: Scenario, target: ModelSpec, draft: ModelSpec) -> Texts:
    try:
        return read_texts(target, draft, scenario.prompts, chat=scenario.spec.chat)
    except PromptError as error:
        raise TestbedError(f"{scenario.source}: prompts: {error}") from None
    except TestbedError as error:
        raise TestbedError(f"{scenario.source}: models: {error}") from None


def _target(
    model: str | TargetModel, folder: Path, threads: int, where: str
) -> FileSpec | ServedSpec:
    found = _resolve(model, folder, threads, where)
    if isinstance(model, TargetModel) and model.served is not None:
        return ServedSpec(model.served, found)
    return found


def _resolve(model: str | RealModel, folder: Path, threads: int, where: str) -> FileSpec:
    if isinstance(model, str):
        model = RealModel(model=model)
    try:
        return with_options(
            resolve(model.model, folder),
            dtype=model.dtype,
            without_layers=model.without_layers,
            threads=model.threads or threads,
            device=model.device,
        )
    except TestbedError as error:
        raise TestbedError(f"{where}: {error}") from None


def _check_methods(scenario: Scenario, vocabulary_size: int) -> None:
    """Raise TestbedError for a method that cannot work with the vocabulary."""
    for entry in scenario.methods:
        kind = method_class(entry.method)
        try:
            kind(parse_options(kind, entry.options, entry.label), vocabulary_size)
        except (TestbedError, ValueError) as error:
            raise TestbedError(f"{scenario.source}: method {entry.label}: {error}") from None


def _check_prompts(scenario: Scenario, texts: Texts) -> None:
    """Raise TestbedError for a prompt that a model that is used cannot read to the end."""
    kinds = [method_class(entry.method) for entry in scenario.methods]
    readers = [texts.target] if any(kind.uses_verifier for kind in kinds) else []
    readers += [texts.draft] if any(kind.uses_draft for kind in kinds) else []
    for number, tokens in enumerate(texts.prompts, 1):
        for reader in readers:
            try:
                require_context(reader, len(tokens) + scenario.spec.decoding.max_new_tokens)
            except TestbedError as error:
                prompt = which(number, scenario.prompts[number - 1])
                raise TestbedError(f"{scenario.source}: prompts: {prompt}: {error}") from None


def _tried(scenario: Scenario, pair: ModelPair) -> ModelPair:
    """Return the pair with those of its models tried that are used."""
    uses_target = any(entry.uses_verifier for entry in scenario.methods)
    try:
        if isinstance(pair.target, FileSpec) and uses_target:
            pair = replace(pair, target=with_trial(pair.target))
        if isinstance(pair.draft, FileSpec):
            pair = replace(pair, draft=with_trial(pair.draft))
        return pair
    except TestbedError as error:
        raise TestbedError(f"{scenario.source}: models: {error}") from None


def _check_memory(scenario: Scenario, pair: ModelPair, jobs: int, devices: int) -> None:
    """Raise TestbedError unless the memory suffices for every device, and a verifier if used.

    Each of several jobs has its own nodes. Jobs cannot share a GPU and be measured.
    """
    loads = []
    if isinstance(pair.target, FileSpec):
        uses_target = any(entry.uses_verifier for entry in scenario.methods)
        loads += [Load(pair.target, jobs * int(uses_target))]
    if isinstance(pair.draft, FileSpec):
        loads += [Load(pair.draft, jobs * devices)]
    if jobs > 1 and (on_gpu := [load.spec for load in loads if load.spec.device != "cpu"]):
        raise TestbedError(
            f"--jobs: '{on_gpu[0].name}' is to run on {on_gpu[0].device}, which jobs would share, "
            "so that each is slower than alone; leave out --jobs"
        )
    try:
        require_memory([load for load in loads if load.processes])
    except TestbedError as error:
        raise TestbedError(f"{scenario.source}: models: {error}") from None


def _warnings(pair: ModelPair) -> Iterator[str]:
    """Yield warnings of what is allowed, but seldom meant."""
    target, draft = pair.target, pair.draft
    if isinstance(target, ServedSpec):
        yield _SERVED.format(name=target.name)
    if not isinstance(target, FileSpec) or not isinstance(draft, FileSpec):
        return
    mine, other = count(draft), count(target)
    if mine > other:
        yield (
            f"draft '{draft.name}' has {mine / 1e6:,.1f} M weights and target '{target.name}' only "
            f"{other / 1e6:,.1f} M: drafting takes longer than verifying"
        )
    if isinstance(target, GgufSpec):
        if target.block_tv and target.block_tv >= _AS_FP32:
            yield _BLOCKS.format(name=target.name, tv=target.block_tv)
    elif target.dtype != "fp32":
        yield (
            f"target '{target.name}' runs in {target.dtype}: texts follow its law exactly in fp32 "
            "only, as blocks and single tokens are rounded differently"
        )
