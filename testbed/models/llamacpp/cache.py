"""The key-value cache of a model in llama.cpp, shared by all sequences that are being read.

llama.cpp calls it a context. Its size is fixed when it is made, so a full one is replaced by one
twice as large, to which all keys and values are copied.

Where attention has a sliding window, llama.cpp writes new keys over those that the window has
passed, and copies of a single sequence are without them. After a rollback they would be missing,
and nothing would say so. It spares keys that two sequences share, so each sequence of such a model
has two numbers there, and caches are copied as a whole.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from testbed.errors import TestbedError
from testbed.models.base import Logits
from testbed.models.llamacpp.declarations import Batch, Ids
from testbed.models.llamacpp.library import library, reason

_PASS = 512
"""Tokens that one pass reads at most; longer texts take several, from their beginning on."""
_KEPT = 64
"""Tokens of a pass whose logits are kept at most; llama.cpp reserves memory for all of them."""
_SEQUENCES = _KEPT
"""Numbers of sequences: llama.cpp wants to be able to keep a token of each."""
_FIRST = 1024
"""Tokens that a new cache has room for."""


class Cache:
    """Sequences of tokens, each with a number, with their keys and values."""

    def __init__(self, model: int, threads: int, name: str) -> None:
        """`model` is llama.cpp's, which must stay loaded until `free`; `name` is for messages."""
        self._lib = library()
        self._model = model
        self._threads = threads
        self._name = name
        self._rows: int = self._lib.llama_vocab_n_tokens(self._lib.llama_model_get_vocab(model))
        self._lengths: dict[int, int] = {}
        self._dropped = deque[int]()
        self._context: int | None = None
        self._room = 0
        copies = 2 if self._lib.llama_model_n_swa(model) > 0 else 1
        self._most = _SEQUENCES // copies
        self._token, self._position = np.zeros((2, _PASS), np.int32)
        self._copies, self._kept = np.full(_PASS, copies, np.int32), np.zeros(_PASS, np.int8)
        self._numbers = np.zeros((_PASS, copies), np.int32)
        # Each token has a pointer to the numbers of its sequence.
        at, stride = self._numbers.ctypes.data, self._numbers.strides[0]
        self._pointers = np.arange(at, at + stride * _PASS, stride).astype(np.uint64)
        self._batch = Batch(
            0,
            self._token.ctypes.data_as(Ids),
            None,
            self._position.ctypes.data_as(Ids),
            self._copies.ctypes.data_as(Ids),
            self._pointers.ctypes.data_as(ctypes.POINTER(Ids)),
            self._kept.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def add(self) -> int:
        """Add an empty sequence; return its number."""
        self._forget()
        free = next((each for each in range(self._most) if each not in self._lengths), None)
        if free is None:
            raise TestbedError(
                f"model '{self._name}' reads {self._most} sequences already, as many as it can"
            )
        self._lengths[free] = 0
        return free

    def drop(self, sequence: int) -> None:
        """Forget a sequence before the next one is added or read.

        Not at once: sessions are collected at any moment, in the middle of a pass or of a copy, and
        together with their model.
        """
        self._dropped.append(sequence)

    def _forget(self) -> None:
        while self._dropped:
            sequence = self._dropped.popleft()
            self.cut(sequence, 0)
            del self._lengths[sequence]

    def length(self, sequence: int) -> int:
        """Return the number of tokens of a sequence."""
        return self._lengths[sequence]

    def cut(self, sequence: int, length: int) -> None:
        """Remove all tokens of a sequence from position `length` on."""
        if length == self._lengths[sequence]:
            return
        memory = self._lib.llama_get_memory(self._context)
        cut = [
            self._lib.llama_memory_seq_rm(memory, number, length, -1)
            for number in self._numbers_of(sequence)
        ]
        if not all(cut):
            raise TestbedError(
                f"the cache of model '{self._name}' cannot be rolled back; allowed are models that "
                "attend to the keys of single tokens"
            )
        self._lengths[sequence] = length

    def read(self, sequence: int, tokens: Sequence[int], keep: int) -> Logits:
        """Read tokens at the end of a sequence.

        Returns the logits after each of the last `keep` of them, for all ids that the file has a
        logit for, float32.
        """
        self._forget()
        needed = sum(self._lengths.values()) + len(tokens)
        if needed > self._room:
            self._grow(needed)
        found, begin, unkept = [], 0, len(tokens) - keep
        while begin < len(tokens):
            end = min(begin + _PASS, len(tokens), max(begin, unkept) + _KEPT)
            rows = self._pass(sequence, tokens[begin:end], end - max(begin, min(unkept, end)))
            found.append(rows)
            begin = end
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _numbers_of(self, sequence: int) -> range:
        return range(sequence, _SEQUENCES, self._most)

    def _pass(self, sequence: int, tokens: Sequence[int], keep: int) -> Logits:
        count, length = len(tokens), self._lengths[sequence]
        self._token[:count] = tokens
        self._position[:count] = np.arange(length, length + count)
        self._numbers[:count] = self._numbers_of(sequence)
        self._kept[:count] = 0
        self._kept[count - keep : count] = 1
        self._batch.n_tokens = count
        if code := self._lib.llama_decode(self._context, self._batch):
            raise TestbedError(
                f"model '{self._name}': a pass over {count} tokens failed ({code}): {reason()}"
            )
        self._lengths[sequence] += count
        if not keep:
            return np.empty((0, self._rows), np.float32)
        logits = self._lib.llama_get_logits(self._context)
        if not logits:
            raise TestbedError(
                f"model '{self._name}' gives no logits; allowed are causal language models"
            )
        # A copy, as the next pass overwrites it.
        return np.ctypeslib.as_array(logits, (keep, self._rows)).copy()

    def _grow(self, needed: int) -> None:
        """Replace the context by one with room for `needed` tokens or more."""
        room = max(_FIRST, self._room)
        while room < needed:
            room *= 2
        context = self._new_context(room)
        if self._context:
            size = self._lib.llama_state_get_size(self._context)
            state = (ctypes.c_uint8 * size)()
            self._lib.llama_state_get_data(self._context, state, size)
            if not self._lib.llama_state_set_data(context, state, size):
                raise TestbedError(
                    f"model '{self._name}': its cache cannot be copied to a larger one: {reason()}"
                )
        self.free()
        self._context, self._room = context, room

    def _new_context(self, room: int) -> int:
        params: Any = self._lib.llama_context_default_params()
        params.n_ctx = room
        params.n_batch = params.n_ubatch = _PASS
        params.n_seq_max = _SEQUENCES
        params.n_outputs_max = _KEPT
        params.n_outputs_max_per_seq = 0
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = self._threads
        context: int | None = self._lib.llama_init_from_model(self._model, params)
        if not context:
            raise TestbedError(
                f"model '{self._name}': llama.cpp makes no cache for {room} tokens: {reason()}"
            )
        return context

    def free(self) -> None:
        """Free the context; the cache must not be used afterwards, but by `_grow`."""
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None
