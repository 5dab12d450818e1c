"""One generation of a device: its request, its result, and the events written during it."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.audit.evidence import PacedNode
from testbed.events import Event
from testbed.models.spec import Role
from testbed.protocol.control import Result
from testbed.protocol.request import DecodeRequest
from testbed.results.plan import Plan
from testbed.scenario.methods import MethodEntry
from testbed.scenario.scenario import Scenario


@dataclass(frozen=True)
class Generation:
    """One generation of a device, and the events that both nodes wrote during it."""

    device: str
    result: Result
    events: list[Event]
    """The device's."""
    answers: list[Event]
    """The verifier's."""


def stream_of(device: str, prompt: int) -> str:
    """Return the name of a generation in events, messages and random draws."""
    return f"{device}/{prompt}"


def decode_request(
    scenario: Scenario, plan: Plan, entry: MethodEntry, repetition: int, stream: str
) -> DecodeRequest:
    """Return the request for one generation by a method."""
    spec = scenario.spec
    return DecodeRequest(
        method=entry.method,
        options=entry.options,
        sampling=spec.decoding.sampling,
        seed=spec.seed,
        repetition=repetition,
        stream=stream,
        max_new_tokens=spec.decoding.max_new_tokens,
        end_tokens=tuple(plan.end_tokens),
    )


def prompt_tokens(plan: Plan, prompt: int) -> list[int]:
    """Return the token ids of a prompt."""
    return [int(token) for token in plan.prompts[prompt].split()]


def paced_nodes(scenario: Scenario, generation: Generation) -> list[PacedNode]:
    """Return the nodes whose compute is paced, with their events of a generation."""
    nodes: dict[Role, tuple[str, list[Event]]] = {
        "draft": (generation.device, generation.events),
        "target": (scenario.spec.verifier, generation.answers),
    }
    return [PacedNode(*nodes[role], pace) for role, pace in scenario.paces.items()]
