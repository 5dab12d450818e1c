"""From a student to the file that is shipped. Importing this loads torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from testbed.distillation.trainer import Trainer
from testbed.models.packed import PackedDraft, pack, unpack


def export(trainer: Trainer, layers: list[int], path: Path, notes: dict[str, Any]) -> float:
    """Pack the student into `path`; returns the expected acceptance of what was packed.

    The student has the rounded weights afterwards. What was measured before goes into the file
    with `notes`.
    """
    weights = {name: value.detach().cpu().numpy() for name, value in trainer.weights.items()}
    measured = {"tokens": trainer.tokens, "curve": trainer.progress.curve}
    pack(PackedDraft(weights, layers, {**notes, **measured}), path)
    for name, values in unpack(path).weights.items():
        trainer.weights[name].data.copy_(torch.from_numpy(values))
    return trainer.acceptance()
