"""A run's state in one safetensors file, written whole or not at all. Importing loads torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.optim import AdamW

from testbed.distillation.samples import save_whole
from testbed.errors import TestbedError

_STATE = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps for each weight."""


@dataclass
class Progress:
    """How far a run is. Its data and every draw of them follow from `step`."""

    step: int = 0
    seconds: float = 0.0
    """Of work so far, over all the run's processes."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Tokens trained on, and the expected acceptance measured then."""
    begun: int = 0
    """The step that the optimiser began at: a later one than 0 behind a packed draft."""


def save(
    path: Path,
    weights: dict[str, nn.Parameter],
    optimiser: AdamW,
    progress: Progress,
    settings: dict[str, Any],
) -> None:
    """Write the checkpoint; `settings` are what a run that goes on must share."""
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
    """Read a checkpoint into weights and optimiser.

    Raises TestbedError when it is damaged or of a run with other settings.
    """
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata()
            theirs, progress = json.loads(notes["settings"]), json.loads(notes["progress"])
            if theirs != settings:
                raise TestbedError(
                    f"{path} is of a run with {theirs}, this one has {settings}; "
                    "name another directory or remove it."
                )
            for name, weight in weights.items():
                weight.data.copy_(file.get_tensor(f"weight.{name}"))
                optimiser.state[weight] = {
                    key: file.get_tensor(f"{key}.{name}").to(weight.device) for key in _STATE
                }
    except TestbedError:
        raise
    except Exception as error:  # safetensors has an exception of its own
        raise TestbedError(f"Cannot read the checkpoint {path} ({error}); remove it.") from error
    curve = [(tokens, value) for tokens, value in progress["curve"]]
    return Progress(progress["step"], progress["seconds"], curve, progress.get("begun", 0))


def settings_of(
    target: str, layers: list[int], proposed: int | None, dtype: torch.dtype
) -> dict[str, Any]:
    """What tells one run from another."""
    return {
        "target": target,
        "layers": layers,
        "proposed": proposed,
        "dtype": str(dtype).removeprefix("torch."),
    }
