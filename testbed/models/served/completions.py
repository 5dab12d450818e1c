"""Whole next-token distributions from vLLM's completions protocol.

One request holds one prompt for each row: the text up to each position, for which one token is to
be generated with the log-probabilities of the whole vocabulary (`logprobs` -1). The server's prefix
cache holds what the prompts share. `prompt_logprobs` would give a row for every position of one
prompt, but vLLM then ignores its cache, and sends the rows of the whole text each time.

Source: vLLM 0.33.0, vllm/entrypoints/openai/completion/{protocol,serving}.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from testbed.errors import TestbedError
from testbed.models.base import Logits
from testbed.models.served.address import START, request

T = TypeVar("T")
_UNFILTERED = {
    "temperature": 1.0,
    "top_k": -1,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Sampling that leaves logits alone, instead of defaults of the model; it is done here."""
_ID = "token_id:"
_LEAST = -9999.0
"""Log-probability that the server sends for -inf, which JSON does not have."""
_OFF = 1e-3
"""Largest difference of a row's sum from 1; float32 sums of 150,000 entries differ by 1e-5."""
_ENTRY = 64  # bytes of an entry of a row: "token_id:151935":-12.345678901234567,
_OTHER = 1 << 20  # bytes of the rest of an answer


class _Card(msgspec.Struct):
    id: str
    max_model_len: int | None = None


class _Cards(msgspec.Struct):
    data: list[_Card]


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Logprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float]]


class _Choice(msgspec.Struct):
    index: int
    logprobs: _Logprobs


class _Completion(msgspec.Struct):
    model: str
    choices: list[_Choice]


class _Complaint(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Complaint


class Server:
    """The one model of a server.

    Raises TestbedError, as all methods do, when no server answers or not as vLLM does.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        cards = self._ask("/v1/models", None, _Cards).data
        if len(cards) != 1 or cards[0].max_model_len is None:
            found = ", ".join(card.id for card in cards) or "none"
            raise TestbedError(
                f"{address}/v1/models: it lists {found}; a target must be the server's only model "
                f"and have max_model_len; {START}"
            )
        self.model = cards[0].id
        self.context_length = cards[0].max_model_len - 1
        """Length of the longest prompt: one more token is generated."""

    def encode(self, text: str) -> list[int]:
        """Convert text to token ids by the server's tokenizer."""
        return self._ask("/tokenize", {"model": self.model, "prompt": text}, _Tokens).tokens

    def rows(self, prompts: Sequence[Sequence[int]], size: int) -> Logits:
        """Return log-probabilities after each prompt of ids 0 to `size` - 1, [prompts, size]."""
        body = {
            "model": self.model,
            "prompt": prompts,
            "max_tokens": 1,
            "logprobs": -1,
            "return_tokens_as_token_ids": True,
            **_UNFILTERED,
        }
        # Twice the ids, as some models have logits for more than there are.
        most = _OTHER + len(prompts) * 2 * size * _ENTRY
        answer = self._ask("/v1/completions", body, _Completion, most)
        choices = sorted(answer.choices, key=lambda choice: choice.index)
        found = [(choice.index, len(choice.logprobs.top_logprobs)) for choice in choices]
        if answer.model != self.model or found != [(i, 1) for i in range(len(prompts))]:
            raise self._wrong(
                f"model '{answer.model}' answers with {sum(rows for _, rows in found)} rows for "
                f"{len(found)} prompts; model '{self.model}' was asked for one row for each of "
                f"{len(prompts)}"
            )
        return np.stack([self._row(choice.logprobs.top_logprobs[0], size) for choice in choices])

    def _row(self, entries: dict[str, float], size: int) -> NDArray[np.float32]:
        try:
            ids = np.array([int(key.removeprefix(_ID)) for key in entries if key.startswith(_ID)])
        except ValueError:
            ids = np.array([])
        if len(ids) != len(entries):
            raise self._wrong(f"a row does not name its tokens by {_ID}")
        values = np.array(list(entries.values()))
        row = np.full(size, np.nan, np.float32)
        known = (ids >= 0) & (ids < size)  # the others pad the logits
        with np.errstate(over="ignore"):  # what is too large shows in the sum
            mass = float(np.exp(values).sum())
            row[ids[known]] = values[known]
        missing = int(np.isnan(row).sum())
        if missing or not abs(mass - 1) <= _OFF:
            raise self._wrong(
                f"a row lacks {missing} of the vocabulary's {size} tokens, and its probabilities "
                f"sum to {mass:.6g}; a target needs whole rows, which sum to 1"
            )
        row[row <= _LEAST] = -np.inf
        return row

    def _ask(self, path: str, body: object, kind: type[T], most: int = _OTHER) -> T:
        sent = None if body is None else msgspec.json.encode(body)
        status, answer = request(self._address, path, sent, most)
        try:
            if status == 200:
                return msgspec.json.decode(answer, type=kind)
            said = msgspec.json.decode(answer, type=_Refusal).error.message
        except msgspec.MsgspecError as error:
            said = str(error) if status == 200 else "no message"
        raise TestbedError(f"{self._address}{path}: HTTP status {status}: {said}; {START}")

    def _wrong(self, what: str) -> TestbedError:
        return TestbedError(f"{self._address}/v1/completions: {what}; {START}")
