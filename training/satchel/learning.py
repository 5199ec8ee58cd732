"""What the satchel's trainings share: batches of a variant, frozen Squire, a course of steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from training.batches import Noising, timesteps
from training.captions import caption
from training.colourspace import to_latents
from training.model import for_training
from training.paths import SQUIRE
from training.satchel import variants
from training.satchel.variants import Drawn
from training.text import TextEncoder, load_tokenizer, shuffle_padding

SIZES = (((32, 32), 8), ((48, 32), 6))
"""Height and width in latent pixels, and how many in a batch."""
TALL_SHARE = 0.2
DROPOUT = 0.3
"""Share of captions left empty: what guidance takes away, it takes six times, so it must be learned
as well as the rest, and in few steps."""
RATE, WARM_UP = 2e-3, 40
FAINT_FROM = 800
"""The timestep from which on a picture may have less signal."""


class Lessons:
    """Batches out of a pool of a variant's pictures, captions worded anew each time."""

    def __init__(self, name: str, pictures: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pools = [
            (variants.draw(name, seed, size, max(1, round(pictures * share))), batch)
            for (size, batch), share in zip(SIZES, (1 - TALL_SHARE, TALL_SHARE), strict=True)
        ]

    def draw(self) -> tuple[Tensor, list[str]]:
        """Latents (n, 4, height, width) and their captions."""
        return self.draw_with_figures()[:2]

    def draw_with_figures(self) -> tuple[Tensor, list[str], np.ndarray]:
        """The same, and bool (n, height, width) of where the figures are."""
        pool, batch = self.pools[int(self.rng.random() < TALL_SHARE)]
        chosen: list[Drawn] = [pool[i] for i in self.rng.integers(len(pool), size=batch)]
        latents = to_latents(np.stack([each.sprite for each in chosen]))
        blank = self.rng.random(batch) < DROPOUT
        texts = [
            "" if without else caption(each.scene, self.rng)[0]
            for each, without in zip(chosen, blank, strict=True)
        ]
        return latents, texts, np.stack([each.figure for each in chosen])


class Student:
    """Squire, frozen and in bfloat16 where this processor is quick at it."""

    def __init__(self, bfloat16: bool) -> None:
        self.dtype = torch.bfloat16 if bfloat16 else torch.float32
        full = CLIPTextModel.from_pretrained(SQUIRE / "text_encoder", dtype=torch.float32)
        self.text = TextEncoder(load_tokenizer(), full).eval().requires_grad_(False)
        unet = UNet2DConditionModel.from_pretrained(SQUIRE / "unet").float()
        self.unet = for_training(unet).to(self.dtype).eval()
        self.noising = Noising()

    def context(self, texts: list[str], rng: np.random.Generator | None) -> Tensor:
        """(n, 77, width); with `rng` half of the time with the paddings exchanged."""
        rows, lengths = self.text.tokens(texts)
        hidden = self.text(rows)
        return (
            shuffle_padding(hidden, lengths) if rng is not None and rng.random() < 0.5 else hidden
        )

    def epsilon(self, noisy: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """The UNet's answer, float32."""
        noisy = noisy.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.unet(noisy, t, context.to(self.dtype)).sample.float()


def rate(step: int, steps: int) -> float:
    """The share of the rate at a step: a warm-up, then half a cosine down to nothing."""
    return min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def denoising_loss(student: Student, lessons: Lessons, *, faint: bool = False) -> Tensor:
    """Squire's own loss, on one batch.

    ``faint``: half of the pictures at high noise have less signal than there should be, or none,
    as has the noise that drawing begins with. What is far from the colours of all pictures in the
    mean is else never drawn: at 1000 steps of 1000 a picture still tells its mean, and noise tells
    that it is grey.
    """
    latents, texts = lessons.draw()
    t, noise = timesteps(len(latents), lessons.rng), torch.randn_like(latents)
    alpha = student.noising.alphas[t].view(-1, 1, 1, 1)
    left = signal_left(t, lessons.rng).view(-1, 1, 1, 1) if faint else 1.0
    noisy = left * alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    leads_there = (noisy - alpha.sqrt() * latents) / (1 - alpha).sqrt()
    guess = student.epsilon(noisy, t, student.context(texts, lessons.rng))
    error = (guess - leads_there).square().mean((1, 2, 3))
    return (error * student.noising.weights(t)).mean()


def signal_left(t: Tensor, rng: np.random.Generator) -> Tensor:
    """Shares (n,) of the signal: 1, but anything down to 0 for half of those at high noise."""
    less = (t.numpy() >= FAINT_FROM) & (rng.random(len(t)) < 0.5)
    return torch.from_numpy(np.where(less, rng.random(len(t)), 1.0)).float()


class Course:
    """A training that can be stopped: weights, optimiser, and how far it is."""

    def __init__(self, path: Path, weights: list[Tensor], steps: int, peak: float = RATE) -> None:
        self.path, self.weights, self.steps, self.peak = path, weights, steps, peak
        self.optimizer = torch.optim.AdamW(weights, lr=peak, betas=(0.9, 0.99), weight_decay=0.0)
        self.step = 0
        if path.exists():
            state = torch.load(path)
            self.step = state["step"]
            self.optimizer.load_state_dict(state["optimizer"])
            with torch.no_grad():
                for weight, saved in zip(weights, state["weights"], strict=True):
                    weight.copy_(saved)

    def learn(self, loss: Tensor) -> None:
        """One step of the optimiser."""
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak * rate(self.step, self.steps)
        self.optimizer.step()
        self.step += 1

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        unfinished = self.path.with_suffix(".part")
        weights = [weight.detach() for weight in self.weights]
        state = {"step": self.step, "weights": weights, "optimizer": self.optimizer.state_dict()}
        torch.save(state, unfinished)
        unfinished.rename(self.path)

    def run(self, loss: Callable[[], Tensor]) -> None:
        """To the end, with a line and a checkpoint every fifty steps."""
        began, first, mean = time.time(), self.step, 0.0
        while self.step < self.steps:
            value = loss()
            self.learn(value)
            mean += value.item() / 50
            if self.step % 50 == 0 or self.step == self.steps:
                pace = (time.time() - began) / (self.step - first)
                print(f"{self.step}/{self.steps} loss {mean:.4f} {pace:.2f} s a step", flush=True)
                mean = 0.0
                self.save()
