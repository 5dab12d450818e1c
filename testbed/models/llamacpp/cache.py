"""The key-value cache of one text in llama.cpp, which calls it a context.

Each text has one of its own: in a shared one the cells that other texts fill decide which kernels
run, and so the last digits of logits. Its size is fixed when it is made, so a full one is replaced
by one twice as large, to which all keys and values are copied.

Where attention has a sliding window, copies are without the keys that the window has passed, and
llama.cpp may write new ones over them. After a rollback they would be missing, and nothing would
say so. It spares keys that two sequences share, so that the text of such a model is two sequences.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
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
_FIRST = 512
"""Tokens that a new cache has room for."""


class Weights:
    """A model that llama.cpp has loaded, until nothing refers to it."""

    def __init__(self, handle: int, name: str, threads: int) -> None:
        """`handle` is llama.cpp's; `name` is for messages; `threads` are those of its passes."""
        self.handle = handle
        self.name = name
        self.threads = threads
        self.rows: int = library().llama_vocab_n_tokens(library().llama_model_get_vocab(handle))
        weakref.finalize(self, library().llama_model_free, handle)


class Cache:
    """A text with its keys and values."""

    def __init__(self, weights: Weights) -> None:
        self._lib = library()
        self._weights = weights
        self.length = 0
        """Number of its tokens."""
        self._room = 0
        self._context: int | None = None
        self._free: Callable[[], object] = lambda: None
        self._token, self._position = np.zeros((2, _PASS), np.int32)
        self._kept = np.zeros(_PASS, np.int8)
        self._copies = 2 if self._lib.llama_model_n_swa(weights.handle) > 0 else 1
        # Each token has a pointer to the numbers of its sequences.
        self._counts = np.full(_PASS, self._copies, np.int32)
        self._numbers = np.arange(self._copies, dtype=np.int32)
        self._pointers = np.full(_PASS, self._numbers.ctypes.data, np.uint64)
        self._batch = Batch(
            0,
            self._token.ctypes.data_as(Ids),
            None,
            self._position.ctypes.data_as(Ids),
            self._counts.ctypes.data_as(Ids),
            self._pointers.ctypes.data_as(ctypes.POINTER(Ids)),
            self._kept.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def cut(self, length: int) -> None:
        """Remove all tokens from position `length` on."""
        if length == self.length:
            return
        memory = self._lib.llama_get_memory(self._context)
        cut = [
            self._lib.llama_memory_seq_rm(memory, number, length, -1)
            for number in range(self._copies)
        ]
        if not all(cut):
            raise TestbedError(
                f"the cache of model '{self._weights.name}' cannot be rolled back; allowed are "
                "models that attend to the keys of single tokens"
            )
        self.length = length

    def read(self, tokens: Sequence[int], keep: int) -> Logits:
        """Read tokens at the end of the text.

        Returns the logits after each of the last `keep` of them, for all ids that the file has a
        logit for, float32. Raises TestbedError, and leaves the text as it was, when a pass fails.
        """
        before = self.length
        if before + len(tokens) > self._room:
            self._grow(before + len(tokens))
        try:
            return self._passes(tokens, keep)
        except TestbedError:
            self.cut(before)
            raise

    def _passes(self, tokens: Sequence[int], keep: int) -> Logits:
        found, begin, unkept = [], 0, len(tokens) - keep
        while begin < len(tokens):
            end = min(begin + _PASS, len(tokens), max(begin, unkept) + _KEPT)
            found.append(self._pass(tokens[begin:end], end - max(begin, min(unkept, end))))
            begin = end
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _pass(self, tokens: Sequence[int], keep: int) -> Logits:
        count = len(tokens)
        self._token[:count] = tokens
        self._position[:count] = np.arange(self.length, self.length + count)
        self._kept[:count] = 0
        self._kept[count - keep : count] = 1
        self._batch.n_tokens = count
        if code := self._lib.llama_decode(self._context, self._batch):
            raise TestbedError(
                f"model '{self._weights.name}': a pass over {count} tokens failed ({code}): "
                f"{reason()}"
            )
        self.length += count
        if not keep:
            return np.empty((0, self._weights.rows), np.float32)
        logits = self._lib.llama_get_logits(self._context)
        if not logits:
            raise TestbedError(
                f"model '{self._weights.name}' gives no logits; allowed are causal language models"
            )
        # A copy, as the next pass overwrites it.
        return np.ctypeslib.as_array(logits, (keep, self._weights.rows)).copy()

    def _grow(self, needed: int) -> None:
        """Replace the context by one with room for `needed` tokens or more."""
        room = max(_FIRST, self._room)
        while room < needed:
            room *= 2
        context = self._new_context(room)
        free = weakref.finalize(self, _free, context, self._weights)
        if self._context:
            size = self._lib.llama_state_get_size(self._context)
            state = (ctypes.c_uint8 * size)()
            written = self._lib.llama_state_get_data(self._context, state, size)
            if not written or not self._lib.llama_state_set_data(context, state, written):
                free()
                raise TestbedError(
                    f"model '{self._weights.name}': its cache cannot be copied to a larger one: "
                    f"{reason()}"
                )
        self._free()
        self._context, self._room, self._free = context, room, free

    def _new_context(self, room: int) -> int:
        params: Any = self._lib.llama_context_default_params()
        params.n_ctx = room
        params.n_batch = params.n_ubatch = _PASS
        params.n_seq_max = self._copies
        params.kv_unified = True
        params.n_outputs_max = _KEPT
        params.n_outputs_max_per_seq = 0
        params.n_threads = params.n_threads_batch = self._weights.threads
        context: int | None = self._lib.llama_init_from_model(self._weights.handle, params)
        if not context:
            raise TestbedError(
                f"model '{self._weights.name}': llama.cpp makes no cache for {room} tokens: "
                f"{reason()}"
            )
        return context


def _free(context: int, weights: Weights) -> None:
    """Free a context while its weights, which the call keeps, are loaded."""
    library().llama_free(context)
