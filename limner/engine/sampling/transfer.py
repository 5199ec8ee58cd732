"""From the host's memory to the device that draws."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """``host`` on ``device``, in its number type; on a CPU the same tensor.

    A GPU gets it from pinned memory: a copy from any other would make the caller wait for
    everything that the GPU was given before, the step under way included.
    """
    if device.type == "cpu":
        return host
    return host.pin_memory().to(device, non_blocking=True)
