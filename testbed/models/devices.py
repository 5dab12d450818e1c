"""Where a model can run."""

from __future__ import annotations

from testbed.errors import TestbedError
from testbed.models.spec import Device


def require_device(model: str, device: Device, gpus: int) -> None:
    """Raise TestbedError unless `device` is one of a machine with so many CUDA devices."""
    number = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and number >= gpus:
        known = ", ".join(["cpu", "auto", *(f"cuda:{index}" for index in range(gpus))])
        raise TestbedError(
            f"Model '{model}' is to run on {device}, and torch sees {gpus} CUDA devices here; "
            f"allowed are {known}."
        )
