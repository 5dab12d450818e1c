"""Shards of the target's texts on disk, written at first use. Importing this loads torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from testbed.distillation.atomic_safetensors import save_whole
from testbed.distillation.teacher import Samples, write

TEXTS = {"cpu": 128, "cuda": 1024}
"""Texts of a shard. They are sampled in one batch, which must be larger on a GPU."""
LENGTH = 256
"""Tokens of a text, with its header."""
WINDOW = 8
"""Number of shards in memory."""
_HELD_OUT = 1 << 40
"""Seed of the texts that are never trained on; the seed of a shard is its number."""


class SampleStore:
    """The shards of one target in one directory, which several runs may share.

    A token takes 2 H bytes (1.2 kB for H = 576), because the teacher's state is kept in bf16: the
    teacher's distribution then needs only the target's head, not a second pass through the target.
    Half of a shard's texts have an answer of temperature 0; the texts for measurements have
    temperature 1 throughout.
    """

    def __init__(
        self,
        directory: Path,
        target: Callable[[], Any],
        header: list[int],
        texts: int,
        length: int,
    ) -> None:
        self._directory = directory
        self._target = target
        self._header = header
        self._texts = texts
        self._length = length
        self.shard_tokens = texts * (length - len(header))
        """Number of tokens in a shard that are trained on."""
        directory.mkdir(parents=True, exist_ok=True)
        self.shard = lru_cache(maxsize=WINDOW)(self._shard)

    @property
    def header(self) -> int:
        """h, the number of tokens in the common header."""
        return len(self._header)

    def held_out(self) -> Samples:
        """Return the texts for measurements, half as many as in a shard."""
        return self._stored("held-out", self._texts // 2, _HELD_OUT, greedy=0)

    def _shard(self, number: int) -> Samples:
        return self._stored(f"shard-{number:05}", self._texts, number, greedy=self._texts // 2)

    def _stored(self, name: str, texts: int, seed: int, *, greedy: int) -> Samples:
        path = self._directory / f"{name}.safetensors"
        if not path.is_file():
            samples = write(self._target(), self._header, texts, self._length, seed, greedy=greedy)
            tensors = {"ids": samples.ids.int(), "hidden": samples.hidden.bfloat16()}
            save_whole(tensors, path)
        tensors = load_file(path)
        return Samples(tensors["ids"].long(), tensors["hidden"])
