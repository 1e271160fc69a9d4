"""The GPU that Ray gives a worker.

Ray tells CUDA of it, by CUDA_VISIBLE_DEVICES. Vulkan does not hear that, so all workers of a machine would take the same GPU.
"""

from __future__ import annotations

import subprocess


def given_gpu(ids: list[str]) -> str:
    """The engine of the first of these GPUs, which Ray knows by indices or UUIDs. It is named by its PCI bus id."""
    if not ids:
        return "gpu"
    query = ["nvidia-smi", "--query-gpu=index,uuid,pci.bus_id", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        # Not NVIDIA's: the index stands for the same GPU where partwise lists them in the order of their maker.
        lines = []
    for line in lines:
        index, uuid, bus = (part.strip() for part in line.split(","))
        if str(ids[0]) in (index, uuid):
            # nvidia-smi writes the domain in eight digits, and Vulkan in four.
            domain, device = bus.lower().split(":", 1)
            return f"gpu:{domain[-4:]}:{device}"
    return f"gpu:{ids[0]}"
