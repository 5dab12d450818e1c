"""Export of a student: as a packed draft, and as a model directory.

Importing this loads torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from testbed.distillation.trainer import Trainer
from testbed.models.packed_draft import PROPOSED, PackedDraft, pack, unpack
from testbed.models.spec import HuggingFaceSpec


def export(trainer: Trainer, layers: list[int], target: HuggingFaceSpec, folder: Path) -> Path:
    """Write the student to `folder` as a model directory, and packed beside it; return that path.

    Afterwards the student, like the folder, has the rounded weights of the packed file. The packed
    file also holds the target's name, the tokens trained on and the measured acceptance.
    """
    weights = {name: value.detach().cpu().numpy() for name, value in trainer.weights.items()}
    notes: dict[str, Any] = {
        "target": target.name,
        "tokens": trainer.tokens,
        "curve": trainer.progress.curve,
    }
    packed = folder.with_name(f"{folder.name}.safetensors")
    proposed = getattr(trainer.student.config, PROPOSED, None)
    pack(PackedDraft(weights, layers, notes, proposed), packed)
    for name, values in unpack(packed).weights.items():
        trainer.weights[name].data.copy_(torch.from_numpy(values))
    trainer.student.save_pretrained(folder)
    AutoTokenizer.from_pretrained(target.path, local_files_only=True).save_pretrained(folder)
    return packed
