"""Devices that a model can run on."""

from __future__ import annotations

from testbed.errors import TestbedError
from testbed.models.spec import Device, Dtype


def require_device(model: str, device: Device, dtype: Dtype | None, gpus: int) -> None:
    """Raise TestbedError unless a machine with `gpus` CUDA devices can run `dtype` on `device`.

    `dtype` is None for a file that has types of its own.
    """
    if dtype == "int8" and device != "cpu":
        raise TestbedError(
            f"model '{model}' is to run on {device} in int8, which is for the CPU; allowed there "
            "are fp32, bf16 and fp16"
        )
    number = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and number >= gpus:
        known = ", ".join(["cpu", "auto", *(f"cuda:{index}" for index in range(gpus))])
        raise TestbedError(
            f"model '{model}' is to run on {device}, and torch sees {gpus} CUDA devices here; "
            f"allowed are {known}"
        )
