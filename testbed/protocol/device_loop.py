"""The device's loop for one generation, the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed import clock
from testbed.counts import DraftCounts, Traffic
from testbed.decoding.randomness import KeyedRandomness, Randomiser
from testbed.errors import TestbedError
from testbed.events import Tracer
from testbed.methods.base import Method, method_class, parse_options
from testbed.methods.device_context import DeviceContext
from testbed.methods.effects import Around, Commit, NextPart, Now, Pass, Send, unchanged
from testbed.models.base import Model, require_context
from testbed.models.cached_reader import CachedReader
from testbed.models.compute.pace import Pace
from testbed.models.compute.paced_reader import Passes
from testbed.protocol.channel import Receive, Transmit
from testbed.protocol.messages import VERSION, Open
from testbed.protocol.request import DecodeRequest
from testbed.protocol.verifier_client import VerifierClient


@dataclass(frozen=True)
class Decoded:
    """A finished generation, with its counts."""

    tokens: list[int]
    """Ids of the new tokens."""
    times: list[float]
    """Seconds from the start at which each token was committed on the device."""
    start: float
    """The time at which generation started, in seconds of testbed.clock."""
    counts: DraftCounts
    traffic: Traffic


def generation(
    task: DecodeRequest,
    prompt: Sequence[int],
    draft: Model,
    peer: str,
    *,
    timeout: float,
    trace: Tracer,
    progress: Callable[[list[int]], None] = lambda tokens: None,
    randomiser: Randomiser = KeyedRandomness,
    pace: Pace | None = None,
    around: Around = unchanged,
) -> Generator[Pass | Transmit | Receive, Any, Decoded]:
    """Generate one continuation of `prompt` (token ids), with the method that `task` names.

    Yields what the device needs, for a driver to provide; a pass is resumed with PassResult.
    peer: the verifier's name in messages to the user. timeout: seconds to wait for any answer of
    the verifier. progress: called with the new tokens of each commit. pace: the speed at which the
    draft model runs; None for its own. around: is put around the method half.

    Raises TestbedError when the prompt does not fit the models, and when the verifier refuses or
    does not answer.
    """
    method = _method(task, prompt, draft)
    limit = len(prompt) + task.max_new_tokens
    end_tokens = frozenset(task.end_tokens)
    opening = Open(
        VERSION,
        session=0,
        method=task.method,
        options=task.options,
        sampling=task.sampling,
        seed=task.seed,
        repetition=task.repetition,
        stream=task.stream,
        limit=limit,
        end_tokens=sorted(end_tokens),
        vocabulary_id=draft.vocabulary_id,
        vocabulary_size=draft.vocabulary_size,
        draft=draft.name,
        length=len(prompt),
    )
    verifier = VerifierClient(peer, opening, timeout, trace)
    device = DeviceContext(
        token_ids=list(prompt),
        limit=limit,
        end_tokens=end_tokens,
        draft=Passes(CachedReader(draft.session()), trace, task.stream, pace),
        sampling=task.sampling,
        random=randomiser(task.seed, task.repetition, task.stream),
        drafting_policy=method.draft_length(),
        traffic=verifier.traffic,
        trace=trace,
        stream=task.stream,
    )
    start = clock.now()
    times: list[float] = []
    if method.uses_verifier:
        yield from verifier.open(device.token_ids)
    half = around(method.device(device))
    result: Any = None
    while True:
        try:
            effect = half.send(result)
            while isinstance(effect, Pass):
                effect = half.send((yield effect).value)
        except StopIteration:
            raise TestbedError(
                f"{peer} ended the generation after {len(device.token_ids) - len(prompt)} of "
                f"{task.max_new_tokens} tokens"
            ) from None
        result = None
        match effect:
            case Now():
                result = clock.now_ns()
            case Send(upload, drafts):
                yield from verifier.send(device.token_ids, drafts, upload)
            case NextPart():
                result = yield from verifier.next_part()
            case Commit(tokens) if tokens:
                new = _usable(tokens, limit - len(device.token_ids), end_tokens)
                device.token_ids += new
                times += [clock.now() - start] * len(new)
                trace.event("commit", task.stream, tokens=len(new), round=device.round)
                progress(new)
                if len(device.token_ids) >= limit or new[-1] in end_tokens:
                    break
            case Commit():
                pass
            case _:
                raise AssertionError(f"a device half cannot have {effect}")
    half.close()
    if method.uses_verifier:
        yield from verifier.close()
    trace.flush()
    return Decoded(device.token_ids[len(prompt) :], times, start, device.counts, verifier.traffic)


def _usable(tokens: list[int], room: int, end_tokens: frozenset[int]) -> list[int]:
    """Return the tokens that fit into `room`, up to and including the first end token."""
    for i, token in enumerate(tokens[:room]):
        if token in end_tokens:
            return tokens[: i + 1]
    return tokens[:room]


def _method(task: DecodeRequest, prompt: Sequence[int], draft: Model) -> Method:
    """Return the device half; raise TestbedError when the prompt does not fit the draft model."""
    kind = method_class(task.method)
    method = kind(parse_options(kind, task.options, task.method), draft.vocabulary_size)
    if not prompt:
        raise TestbedError("the prompt has no tokens")
    for token in (min(prompt), max(prompt)):
        if not 0 <= token < draft.vocabulary_size:
            raise TestbedError(
                f"the prompt has token {token}; '{draft.name}' has ids 0 to "
                f"{draft.vocabulary_size - 1}: encode it with that model's tokenizer"
            )
    if kind.uses_draft:
        require_context(draft, len(prompt) + task.max_new_tokens)
    return method
