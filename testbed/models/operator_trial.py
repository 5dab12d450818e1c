"""Trial of an operator against plain layers in passes of a model. Importing this loads torch.

    python -m testbed.models.operator_trial SPEC

SPEC is a testbed.models.spec.HuggingFaceSpec in JSON. The choice is printed as JSON, for
testbed.models.cpu.operators.

The operator is not used if it raises an error, computes something else, or is slower. Its speed
relative to the plain layers may depend on the number of tokens in a pass. So passes of all the
usual lengths are timed, and the operator is used from the shortest length on beyond which it is
never slower. Plain passes and passes with the operator alternate, so that other programs slow
both alike.
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
from testbed.models.causal_lm import CausalLM
from testbed.models.cpu.linear_layers import ByTokens, Crossing
from testbed.models.cpu.operators import machine
from testbed.models.hf.backends import operators, plain_backend
from testbed.models.hf.directory import ModelDirectory
from testbed.models.hf.layers import remove_layers
from testbed.models.hf.model import load_network
from testbed.models.spec import Dtype, HuggingFaceSpec, OperatorChoice
from testbed.models.weights import MOST_TRIED

LENGTHS = (1, 2, 3, 4, 5, 8)
"""Tokens of the timed passes: a draft reads 1 or 2, a verifier γ + 1.

Longer passes follow the last of them.
"""
TOLERANCE: dict[Dtype, float] = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.05}
"""Largest allowed difference of logits, as a share of their range.

Both sum the same products in fp32, in different orders. In fp32 this is the only difference; 1e-6
was measured. In bf16 each matrix's results are then rounded to 8 bits: sums close to the middle
between two numbers may come out 2⁻⁸ apart, and later layers carry the difference on. Over 30 layers
of 7 matrices that makes up to √210 · 2⁻⁹ ≈ 3 % of a logit's deviation, under 2 % of the range; up
to 1 % was measured. The layers of int8 take and return bf16, too. A matrix that is missing,
transposed or in a wrong order moves logits by as much as their range.
"""
SLOWER = 1.05
"""An operator counts as slower when its median pass takes over this multiple of a plain one."""
_CALLED: dict[Dtype, str] = {
    "fp32": "_linear_pointwise",
    "bf16": "_linear_pointwise",
    "int8": "_weight_int8pack_mm",
}
_TIMES = 5
_PREFIX = 32  # tokens in the cache before each pass
_NO_MEMORY = "can't allocate memory"  # of torch's RuntimeError


def try_operator(
    network: CausalLM,
    dtype: Dtype,
    vocabulary_size: int,
    now: Callable[[], float] = time.perf_counter,
    room: int = _PREFIX + LENGTHS[-1],
) -> OperatorChoice:
    """Choose between plain layers and the operator for `network`.

    `network` must not be used afterwards. `now` returns seconds. No sequence is longer than `room`
    tokens, which must be two or more. Raises MemoryError when there is too little memory for a
    trial.
    """
    plain, operator = operators(dtype)
    called = _CALLED[dtype]
    crossing = Crossing(None)
    lengths = [tokens for tokens in LENGTHS if tokens < room]
    prefix = min(_PREFIX, room - lengths[-1])
    text = torch.arange(1, prefix + lengths[-1] + 1) * 7919 % vocabulary_size
    cache = network.new_cache()

    def read(tokens: int, operator_from: int | None) -> tuple[torch.Tensor, float]:
        crossing.tokens = operator_from
        began = now()
        logits = network.forward(text[prefix : prefix + tokens], cache, tokens)
        took = now() - began
        network.crop(cache, tokens)
        return logits.float(), took

    def medians(tokens: int) -> tuple[float, float]:
        both = [(read(tokens, None)[1], read(tokens, 1)[1]) for _ in range(_TIMES)]
        return statistics.median(took for took, _ in both), statistics.median(
            took for _, took in both
        )

    with torch.inference_mode():
        try:
            network.replace(lambda linear: ByTokens(plain(linear), operator(linear), crossing))
        except Exception as error:  # after any error it cannot be used
            return _refused(called, error)
        network.forward(text[:prefix], cache, 1)
        for tokens in lengths:
            wanted, _ = read(tokens, None)
            try:
                got, _ = read(tokens, 1)
            except Exception as error:
                return _refused(called, error)
            difference = float((got - wanted).abs().max() / (wanted.max() - wanted.min()))
            if not difference <= TOLERANCE[dtype]:
                return _plain(
                    f"{called} is wrong (logits over {tokens} tokens are off by {difference:.2g} "
                    f"of their range, limit {TOLERANCE[dtype]:g})"
                )
        measured: list[tuple[int, float, float]] = []
        slow: list[int] = []
        for tokens in lengths:
            took = medians(tokens)
            if took[1] > SLOWER * took[0]:  # measure again: another program may have interfered
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
    """Return the choice of plain layers after an error of the operator.

    Raises MemoryError when memory was lacking, which says nothing about the operator.
    """
    if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
        raise MemoryError from error
    return _plain(f"{called} is refused ({type(error).__name__}: {first_line(error)})")


def shorten(network: Any, name: str) -> None:
    """Remove the last layers of a large network.

    Those that stay take MOST_TRIED bytes or more, so they do not fit into the processor's caches.
    """
    layers = getattr(network.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList) or not len(layers):
        return
    size = sum(each.numel() * each.element_size() for each in layers[0].parameters())
    needed = MOST_TRIED // max(size, 1) + 1
    if needed < len(layers):
        remove_layers(network, range(needed, len(layers)), name)


def main() -> None:
    """Print the choice for the model in the command line as JSON."""
    spec = msgspec.json.decode(sys.argv[1], type=HuggingFaceSpec)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    try:
        network = load_network(
            Path(spec.path), spec.name, spec.dtype, spec.without_layers, spec.device
        )
        shorten(network, spec.name)
        size = int(network.get_input_embeddings().weight.shape[0])
        backend = plain_backend(network, spec.name, spec.dtype, spec.device)
        room = ModelDirectory(Path(spec.path), spec.name).context_length
        choice = try_operator(backend, spec.dtype, size, room=room)
    except (TestbedError, MemoryError) as error:
        sys.exit(f"error: {sentence(error)}")
    print(msgspec.json.encode(choice).decode())


if __name__ == "__main__":
    main()
