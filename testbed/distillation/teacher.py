"""The target as the teacher and as the source of texts. Importing this loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoTokenizer

from testbed.distillation.cache import fixed_cache
from testbed.errors import TestbedError
from testbed.models.spec import HuggingFaceSpec

_MARK = "\N{WHITE SQUARE}"


@dataclass(frozen=True)
class Samples:
    """Texts sampled from the target, and its hidden state before each token."""

    ids: torch.Tensor
    """[texts, n] int64: a common header of h tokens, then n − h sampled ones."""
    hidden: torch.Tensor
    """[texts, n − h, H]: input of the target's head from which each token was sampled."""


def header_of(spec: HuggingFaceSpec) -> list[int]:
    """Return the token ids at the start of a chat, up to where the user's first words begin.

    Raises TestbedError when the model has no chat template.
    """
    tokenizer = AutoTokenizer.from_pretrained(spec.path, local_files_only=True)
    if not tokenizer.chat_template:
        raise TestbedError(
            f"model '{spec.name}' has no chat template; allowed are models made for chat"
        )
    chat = tokenizer.apply_chat_template([{"role": "user", "content": _MARK}], tokenize=False)
    return list(tokenizer.encode(str(chat).split(_MARK)[0], add_special_tokens=False))


@torch.inference_mode()
def write(
    target: Any, header: list[int], texts: int, length: int, seed: int, *, greedy: int = 0
) -> Samples:
    """Sample `texts` texts of `length` tokens from `target`, header included, at temperature 1.

    The target also samples the user's question. There is no truncation, and texts continue after
    end tokens, so every token is drawn from p itself. The first `greedy` texts have temperature 0
    from the end of the question on: a model that always takes the likeliest token generates text
    that is rare at temperature 1. The same seed gives the same texts on the same machine.

    Raises TestbedError when `greedy` is above 0 and the model names no end token.
    """
    device, head = target.device, target.get_output_embeddings()
    ends = torch.tensor(_end_tokens(target) if greedy else [], dtype=torch.long, device=device)
    greedy_ones = torch.arange(texts, device=device)[:, None] < greedy
    answering = torch.zeros_like(greedy_ones)
    generator = torch.Generator(device).manual_seed(seed)
    cache = fixed_cache(target.config, length)
    new = torch.tensor(header, device=device).expand(texts, -1)
    ids, hidden = [new], []
    for position in range(len(header), length):
        state = target.base_model(new, past_key_values=cache, use_cache=True).last_hidden_state
        hidden.append(state[:, -1])
        logits = head(hidden[-1])
        cumulative = logits.softmax(-1, dtype=torch.float32).cumsum(-1)
        draw = torch.rand(texts, 1, device=device, generator=generator)
        new = torch.searchsorted(cumulative, draw * cumulative[:, -1:], right=True)
        new = new.clamp_(max=cumulative.shape[1] - 1)
        if greedy:
            new = new.where(~(greedy_ones & answering), logits.argmax(-1, keepdim=True))
            answering |= torch.isin(new, ends)
        ids.append(new)
        assert cache.get_seq_length() == position
    return Samples(torch.cat(ids, 1).cpu(), torch.stack(hidden, 1).cpu())


def _end_tokens(target: Any) -> list[int]:
    """Return the ids that end a turn of a chat."""
    ends = target.generation_config.eos_token_id
    if ends is None:
        raise TestbedError(
            f"the target ({target.config.model_type}) names no token that ends a turn; allowed are "
            "models made for chat"
        )
    return list(ends) if isinstance(ends, list) else [ends]
