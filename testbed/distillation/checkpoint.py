"""State of a run in one safetensors file, written atomically. Importing this loads torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.optim import AdamW

from testbed.distillation.atomic_safetensors import save_whole
from testbed.errors import TestbedError

_STATE = ("step", "exp_avg", "exp_avg_sq")
"""Names of AdamW's state of each weight."""


@dataclass
class Progress:
    """Progress of a run. Its training data follow from `step` alone."""

    step: int = 0
    seconds: float = 0.0
    """Seconds of training so far, summed over all processes of the run."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Tokens trained on and the expected acceptance measured at that point."""
    begun: int = 0
    """Step at which the optimiser began; above 0 if the run continues a packed draft."""


def save(
    path: Path,
    weights: dict[str, nn.Parameter],
    optimiser: AdamW,
    progress: Progress,
    settings: dict[str, Any],
) -> None:
    """Write the checkpoint. `settings` must be equal in a run that continues from it."""
    tensors = {}
    for name, weight in weights.items():
        tensors[f"weight.{name}"] = weight.detach()
        for key in _STATE:
            tensors[f"{key}.{name}"] = optimiser.state[weight][key]
    notes = {"progress": json.dumps(vars(progress)), "settings": json.dumps(settings)}
    save_whole({name: each.contiguous() for name, each in tensors.items()}, path, notes)


def restore(
    path: Path, weights: dict[str, nn.Parameter], optimiser: AdamW, settings: dict[str, Any]
) -> Progress:
    """Read a checkpoint into weights and optimiser; return its progress.

    Raises TestbedError when it is damaged, or belongs to a run with other settings.
    """
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata()
            stored, progress = json.loads(notes["settings"]), json.loads(notes["progress"])
            if stored != settings:
                raise TestbedError(
                    f"{path}: the checkpoint belongs to a run with {stored}, but this one has "
                    f"{settings}; name another directory, or remove the file"
                )
            for name, weight in weights.items():
                weight.data.copy_(file.get_tensor(f"weight.{name}"))
                optimiser.state[weight] = {
                    key: file.get_tensor(f"{key}.{name}").to(weight.device) for key in _STATE
                }
    except TestbedError:
        raise
    except Exception as error:  # safetensors has an exception of its own
        raise TestbedError(f"cannot read the checkpoint {path} ({error}); remove it") from error
    curve = [(tokens, value) for tokens, value in progress["curve"]]
    return Progress(progress["step"], progress["seconds"], curve, progress.get("begun", 0))


def settings_of(
    target: str, layers: list[int], proposed: int | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the settings that distinguish one run from another."""
    return {
        "target": target,
        "layers": layers,
        "proposed": proposed,
        "dtype": str(dtype).removeprefix("torch."),
    }
