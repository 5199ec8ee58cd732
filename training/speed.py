"""Time and memory of one picture through diffusers' own pipeline, in a process of its own."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CASE = {"width": 512, "height": 768, "num_inference_steps": 25, "guidance_scale": 7.5}


def measure(folder: Path, pictures: int = 3) -> dict[str, float]:
    """Median seconds of a 512x768 picture, 25 steps with guidance; the process's peak memory."""
    command = [sys.executable, "-m", "training.speed", str(folder), str(pictures)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def main() -> None:
    """The child process: load, warm up, draw, print one line of JSON."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel

    from training.text import load_tokenizer

    folder, pictures = Path(sys.argv[1]), int(sys.argv[2])
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae").float(),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
        tokenizer=load_tokenizer(),
        unet=UNet2DConditionModel.from_pretrained(folder / "unet").float(),
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    times = []
    for _ in range(pictures + 1):
        began = time.perf_counter()
        pipeline("knight with red armor, desert", **CASE)
        times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answer = {"seconds": round(statistics.median(times[1:]), 2), "peak_mb": round(peak)}
    print(json.dumps({**answer, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
