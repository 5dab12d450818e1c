"""Trying an operator against the plain layer, in a model's own passes. Importing this loads torch.

    python -m testbed.models.operator_trial SPEC

SPEC is a testbed.models.spec.HuggingFaceSpec; the choice is printed, see
testbed.models.cpu.operators.

The operator is left alone where it raises anything, computes something else, or is slower. Which of
the two is faster may depend on how many tokens a pass is over, so that passes of all the usual
lengths are timed, and the operator is used from where on it is nowhere slower. Plain passes and the
operator's take turns, for other programs to slow both.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from testbed.errors import TestbedError, first_line
from testbed.host.machine_errors import sentence
from testbed.models.cpu.linear_layers import ByTokens, Crossing
from testbed.models.cpu.operators import machine
from testbed.models.hf.backends import CausalLM, operators, taken_apart
from testbed.models.hf.directory import ModelDirectory
from testbed.models.hf.layers import remove_layers
from testbed.models.hf.model import load_network
from testbed.models.memory import TRIED
from testbed.models.spec import Dtype, HuggingFaceSpec, OperatorChoice

LENGTHS = (1, 2, 3, 4, 5, 8)
"""Tokens of the passes: a draft reads 1 or 2, a verifier γ + 1. Longer ones go as the last."""
APART: dict[Dtype, float] = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.05}
"""The largest distance of logits, as a share of their range.

Both sum the same products in fp32 and in some order, and in fp32 that is all: 1e-6 was measured.
In bf16 each matrix's results are then rounded to 8 bits. Where sums lie close to the middle of two
numbers the two come out 2⁻⁸ apart, and what follows is computed of that: in 30 layers of 7 matrices
as much as √210 · 2⁻⁹ ≈ 3 % of a logit's deviation, under 2 % of the range; up to 1 % was measured.
The layers of int8 take and give bf16, too. A matrix that is missing, transposed or in a wrong order
moves logits by as much as their range.
"""
SLOWER = 1.05
_CALLED: dict[Dtype, str] = {
    "fp32": "_linear_pointwise",
    "bf16": "_linear_pointwise",
    "int8": "_weight_int8pack_mm",
}
_TIMES = 5
_BEHIND = 32  # tokens that all passes stand behind
_NO_MEMORY = "can't allocate memory"  # of torch's RuntimeError


def try_operator(
    network: CausalLM,
    dtype: Dtype,
    vocabulary_size: int,
    now: Callable[[], float] = time.perf_counter,
    room: int = _BEHIND + LENGTHS[-1],
) -> OperatorChoice:
    """The choice for `network`, which must not be used from now on; `now` gives seconds.

    No text is longer than `room` tokens, two at least.

    Raises MemoryError where there is too little of it to tell.
    """
    plain, operator = operators(dtype)
    called = _CALLED[dtype]
    crossing = Crossing(None)
    lengths = [tokens for tokens in LENGTHS if tokens < room]
    behind = min(_BEHIND, room - lengths[-1])
    text = torch.arange(1, behind + lengths[-1] + 1) * 7919 % vocabulary_size
    cache = network.new_cache()

    def read(tokens: int, operator_from: int | None) -> tuple[torch.Tensor, float]:
        crossing.tokens = operator_from
        began = now()
        logits = network.forward(text[behind : behind + tokens], cache, tokens)
        took = now() - began
        network.cut(cache, tokens)
        return logits.float(), took

    def medians(tokens: int) -> tuple[float, float]:
        both = [(read(tokens, None)[1], read(tokens, 1)[1]) for _ in range(_TIMES)]
        return statistics.median(took for took, _ in both), statistics.median(
            took for _, took in both
        )

    with torch.inference_mode():
        try:
            network.replace(lambda linear: ByTokens(plain(linear), operator(linear), crossing))
        except Exception as error:  # whatever it raises, it cannot be used
            return _refused(called, error)
        network.forward(text[:behind], cache, 1)
        for tokens in lengths:
            wanted, _ = read(tokens, None)
            try:
                got, _ = read(tokens, 1)
            except Exception as error:
                return _refused(called, error)
            apart = float((got - wanted).abs().max() / (wanted.max() - wanted.min()))
            if not apart <= APART[dtype]:
                return _plain(
                    f"{called} is wrong (logits over {tokens} tokens are off by {apart:.2g} of "
                    f"their range, limit {APART[dtype]:g})"
                )
        measured: list[tuple[int, float, float]] = []
        slow: list[int] = []
        for tokens in lengths:
            took = medians(tokens)
            if took[1] > SLOWER * took[0]:  # once more: something else may have been in its way
                took = medians(tokens)
            if took[1] > SLOWER * took[0]:
                slow.append(tokens)
            measured.append((tokens, *(round(seconds * 1e3, 3) for seconds in took)))  # type: ignore[arg-type]
    passes = tuple(measured)
    better = [tokens for tokens in lengths if tokens > max(slow, default=0)]
    if not better:
        return _plain(f"{called} is slower over {lengths[-1]} tokens", passes)
    why = f"{called} from {better[0]} token{'s' * (better[0] > 1)} on"
    return OperatorChoice(better[0], why, machine(), passes)


def _plain(why: str, passes: tuple[tuple[int, float, float], ...] = ()) -> OperatorChoice:
    return OperatorChoice(None, f"plain layers: {why}", machine(), passes)


def _refused(called: str, error: Exception) -> OperatorChoice:
    """The choice where the operator raises this. A lack of memory is raised: it is none of its."""
    if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
        raise MemoryError from error
    return _plain(f"{called} is refused ({type(error).__name__}: {first_line(error)})")


def shorten(network: Any, name: str) -> None:
    """Remove the last layers of a large network: those that stay are more than caches hold."""
    layers = getattr(network.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        return
    size = sum(each.numel() * each.element_size() for each in layers[0].parameters())
    needed = TRIED // max(size, 1) + 1
    if needed < len(layers):
        remove_layers(network, range(needed, len(layers)), name)


def main() -> None:
    """Print the choice for the model that the command line describes."""
    spec = msgspec.json.decode(sys.argv[1], type=HuggingFaceSpec)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    try:
        network = load_network(
            Path(spec.path), spec.name, spec.dtype, spec.without_layers, spec.device
        )
        shorten(network, spec.name)
        size = int(network.get_input_embeddings().weight.shape[0])
        taken = taken_apart(network, spec.name, spec.dtype, spec.device)
        room = ModelDirectory(Path(spec.path), spec.name).context_length
        choice = try_operator(taken, spec.dtype, size, room=room)
    except (TestbedError, MemoryError) as error:
        sys.exit(f"error: {sentence(error)}")
    print(msgspec.json.encode(choice).decode())


if __name__ == "__main__":
    main()
