"""How many UNet rows are worth running together on this device: the knee of throughput."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from limner import machine
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import Lanes

ROWS_TRIED = (2, 4, 8, 16, 32, 64)
GAIN_NEEDED = 1.03
LONGEST_STEP_S = 1.5


def knee(rows_per_second: Callable[[int], float]) -> int:
    """The smallest number of rows within 3 per cent of the best rate.

    Larger numbers are tried although smaller ones gained nothing: where rows go to lanes the rate
    first dips. Stops where a step would last over 1.5 s, since a newcomer waits for the step under
    way, and where memory ends; on a GPU rows then run in pieces, until not even one has room.
    """
    rates: dict[int, float] = {}
    for rows in ROWS_TRIED:
        if rates and rows / max(rates.values()) > LONGEST_STEP_S:
            break
        try:
            rates[rows] = rows_per_second(rows)
        except (torch.OutOfMemoryError, MemoryError):
            break
    best = max(rates.values(), default=0.0)
    return next((rows for rows in rates if rates[rows] * GAIN_NEEDED >= best), ROWS_TRIED[0])


@torch.inference_mode()
def measure(checkpoint: Checkpoint) -> int:
    """The knee of this checkpoint at 512x512 on its device, by timing its own UNet."""
    unet = Lanes(checkpoint.unet)
    parameter = next(checkpoint.unet.parameters())
    side = 512 // checkpoint.vae_scale
    width = checkpoint.unet.config.cross_attention_dim

    def rows_per_second(rows: int) -> float:
        y = torch.randn(rows, checkpoint.unet.config.in_channels, side, side).to(parameter)
        context = torch.randn(rows, 77, width).to(parameter)
        t = torch.full((rows,), 500.0, device=parameter.device)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            unet(Batch(y, t, context)).flatten()[0].item()  # waits for the device
            times.append(time.perf_counter() - began)
            if times[-1] > LONGEST_STEP_S:
                break
        return rows / min(times)

    return knee(rows_per_second)


def memory_left(device: torch.device) -> tuple[int, int]:
    """Bytes that the device has free after loading, and how many of them pictures may take.

    Half; on a CPU a quarter of the memory that this process may have, since others live there too.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free, free // 2
    free = machine.available_memory()
    return free, free // 4


def remembered(checkpoint: Checkpoint, cache: Path | None) -> int:
    """``measure``, or what it said before for a like UNet, number type, processor and torch."""
    if cache is None:
        return measure(checkpoint)
    info, threads = checkpoint.info, str(torch.get_num_threads())
    key = "|".join((_shape(checkpoint), info.dtype, info.processor, threads, torch.__version__))
    try:
        known = json.loads(cache.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = measure(checkpoint)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(known, indent=1))
    return int(known[key])


def _shape(checkpoint: Checkpoint) -> str:
    """A sum of the UNet's config: checkpoints of one shape take as long, whatever their weights."""
    config = {k: v for k, v in checkpoint.unet.config.items() if not k.startswith("_")}
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
