"""Load a full-size checkpoint and draw with it, beside diffusers' own pipeline.

    python -m bench.full_size FILE [--steps 3] [--size 512]

Prints the parameters of each part, the peak of anonymous memory while loading against what the
number type needs, whether every tensor equals diffusers', and the largest difference between the
two pictures, both drawn from the same seed with DDIM at guidance 7.5. No network is used.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.engines import draw as drawn
from bench.engines import engine
from limner.domain.params import Generation
from limner.domain.schedulers import SPECS
from limner.engine.checkpoints import weights
from limner.engine.checkpoints.inspection import SD15_PARAMETERS
from limner.engine.checkpoints.layouts import TOKENIZER
from limner.engine.checkpoints.shapes import SD15

PROMPT = "portrait of a knight in heavy armor, highly detailed"


def anonymous() -> int:
    """Anonymous resident memory of this process, in bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no RssAnon")


@contextmanager
def peak() -> Iterator[list[int]]:
    """Yields a list whose last item becomes the peak seen every 2 ms."""
    seen, stop = [anonymous()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            seen.append(max(seen[-1], anonymous()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def load(path: Path) -> weights.Checkpoint:
    """Load with Limner and report time, memory and counts."""
    before, began = anonymous(), time.perf_counter()
    with peak() as seen:
        checkpoint = weights.load(path, device="cpu", dtype="float32")
    seconds, needed = time.perf_counter() - began, 4 * sum(checkpoint.info.parameters.values())
    print(f"loaded in {seconds:.1f} s (SHA-256 included unless remembered)")
    for part, count in checkpoint.info.parameters.items():
        print(f"  {part:<13}{count:>13,}  Stable Diffusion 1.5: {SD15_PARAMETERS[part]:,}")
    print(f"float32 needs {needed / 2**20:,.0f} MiB; before loading {before / 2**20:,.0f} MiB")
    print(f"peak {seen[-1] / 2**20:,.0f} MiB anonymous: {seen[-1] / needed:.3f} of the need")
    print(f"peak of the loading alone: {(seen[-1] - before) / needed:.3f} of the need")
    return checkpoint


def draw(checkpoint: weights.Checkpoint, generation: Generation) -> np.ndarray:
    """The picture by Limner's engine, uint8 (height, width, 3)."""
    with engine(checkpoint, max_rows=2) as running:
        began = time.perf_counter()
        [picture] = drawn(running, [generation])
        print(f"Limner drew in {time.perf_counter() - began:.1f} s")
    return picture


def pipeline(path: Path, folder: Path) -> Any:
    """diffusers' own pipeline from the same file, offline."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    shutil.copytree(SD15, folder, dirs_exist_ok=True)
    shutil.copytree(TOKENIZER, folder / "tokenizer")
    pipe = StableDiffusionPipeline.from_single_file(
        str(path), config=str(folder), local_files_only=True, torch_dtype=torch.float32
    )
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, **SPECS["DDIM"].arguments)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def compare_tensors(checkpoint: weights.Checkpoint, pipe: Any) -> None:
    """Every tensor of every part, bit for bit."""
    for part in ("unet", "vae", "text_encoder"):
        ours = getattr(checkpoint, part).state_dict()
        theirs = getattr(pipe, part).state_dict()
        same = ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
        print(f"  {part:<13}{len(ours)} tensors {'equal' if same else 'DIFFERENT'} to diffusers'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    checkpoint = load(args.file)
    generation = Generation(
        prompt=PROMPT,
        negative_prompt="blurry",
        scheduler="DDIM",
        steps=args.steps,
        guidance=7.5,
        seed=1234,
        width=args.size,
        height=args.size,
        noise_source="torch-cpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        pipe = pipeline(args.file, Path(folder))
    compare_tensors(checkpoint, pipe)
    ours = draw(checkpoint, generation)
    began = time.perf_counter()
    theirs = pipe(
        prompt=PROMPT,
        negative_prompt="blurry",
        num_inference_steps=args.steps,
        guidance_scale=7.5,
        width=args.size,
        height=args.size,
        generator=torch.Generator().manual_seed(1234),
        output_type="np",
    ).images[0]
    print(f"diffusers drew in {time.perf_counter() - began:.1f} s")
    theirs = (theirs * 255).round().astype(np.uint8)
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    print(f"pixels differ by at most {difference.max()}/255, mean {difference.mean():.4f}/255")
    print(f"the picture's values span {ours.min()}..{ours.max()}, deviation {ours.std():.1f}")


if __name__ == "__main__":
    main()
