"""`python -m training.satchel.adherence NAME ...`: what the judge recognises with a LoRA on.

Of held-out prompts that name a class, a creature or an object: the share of pictures in which the
judge of Squire's evaluation sees it, without the LoRA and with it. One of few steps is drawn with
as few, without guidance. A style may hide from the judge what is drawn well, so what it recognises
of the painter's pictures in that style stands beside. The embedding is used as a negative prompt.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import LCMScheduler

from training import judge
from training.cases import SQUARE, Case
from training.colourspace import to_sprites
from training.drawing import CHUNK, Model
from training.model import SCHEDULER
from training.paths import SATCHEL, SQUIRE, work_dir
from training.satchel import lora, measure, negative, variants
from training.scene import Scene

FEW, NEGATIVE = "squire-lcm", "squire-negative"
STEPS = 4
PAINTED_SEED, PAINTED = 606, 500
LEARNED = {"pictures": 8000, "epochs": 5}
"""What this judge learned from: half of what that of the evaluation did, for it compares."""


def cases(count: int) -> list[Case]:
    """Held-out prompts of square pictures with a subject."""
    those = measure.cases("cutout", 2 * count)
    return [case for case in those if "subject" in case.wanted][:count]


@torch.no_grad()
def in_few_steps(model: Model, prompts: list[str], steps: int = STEPS) -> np.ndarray:
    """Sprites by the sampler `lcm` without guidance, a seed for each place."""
    drawn = []
    for first in range(0, len(prompts), CHUNK):
        part = prompts[first : first + CHUNK]
        scheduler = LCMScheduler(**SCHEDULER, original_inference_steps=50)
        scheduler.set_timesteps(steps)
        told = torch.cat([model.context(each) for each in part])
        generators = [torch.Generator().manual_seed(first + k) for k in range(len(part))]
        x = torch.stack([torch.randn(4, *SQUARE, generator=each) for each in generators])
        for t in scheduler.timesteps:
            x = scheduler.step(model.unet(x, t, told).sample, t, x, generators).prev_sample
        drawn.append(to_sprites(x))
    return np.concatenate(drawn)


def drawn_with(model: Model, name: str, file: Path, prompts: list[str]) -> np.ndarray:
    """Sprites with a file of the satchel, as it is meant to be used."""
    seeds = list(range(len(prompts)))
    if name == NEGATIVE:
        return model.draw(prompts, seeds, SQUARE, negative.context(model, file))
    lora.load(model.unet, file)
    return in_few_steps(model, prompts) if name == FEW else model.draw(prompts, seeds, SQUARE)


def right(sprites: np.ndarray, those: list[Case]) -> float:
    """The share in which the judge sees the subject that was asked for."""
    seen = judge.verdicts(_judge(), sprites)
    hits = [v["subject"] == c.wanted["subject"] for v, c in zip(seen, those, strict=True)]
    return float(np.mean(hits))


def right_of_painted(name: str) -> float:
    """The same of the painter's pictures in a style."""
    those = variants.draw(name, PAINTED_SEED, SQUARE, PAINTED)
    told: list[tuple[np.ndarray, Scene]] = [
        (each.sprite, each.scene) for each in those if each.scene.kind != "landscape"
    ]
    seen = judge.verdicts(_judge(), np.stack([sprite for sprite, _ in told]))
    return float(np.mean([v["subject"] == s.subject for v, (_, s) in zip(seen, told, strict=True)]))


@cache
def _judge() -> judge.Judge:
    return judge.train(**LEARNED)


def main() -> None:
    """Draw without any LoRA, then with each; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--folder", type=Path, default=SATCHEL)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    those = cases(options.count)
    prompts, seeds = [case.prompt for case in those], list(range(len(those)))
    plain = Model(SQUIRE, options.bfloat16).draw(prompts, seeds, SQUARE)
    print(f"none: {right(plain, those):.3f} of {len(those)}", flush=True)
    for name in options.names:
        model = Model(SQUIRE, options.bfloat16)
        if name == FEW:
            print(f"none in {STEPS} steps: {right(in_few_steps(model, prompts), those):.3f}")
        sprites = drawn_with(model, name, options.folder / f"{name}.safetensors", prompts)
        print(f"{name}: {right(sprites, those):.3f}", flush=True)
        if name in variants.VARIANTS:
            print(f"painter pictures in this style: {right_of_painted(name):.3f}", flush=True)
        measure.sheet(work_dir() / "satchel" / f"{name}-adherence.png", plain, sprites)


if __name__ == "__main__":
    main()
